import { resolveJoins } from '../../activities/joins.js';
import { OnlineAnswers } from '../support/online-answers.js';
import { armFailpoints } from '../../domain/failpoints.js';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import type { PushedRow, PushTarget } from '../../domain/online.js';
import { anonymous } from '../../domain/principal.js';
import type { PublishView, VerifyOnline } from '../../domain/publishing.js';
import { Resource } from '../../domain/resources.js';
import { pointInTimeJoin } from '../../lake/point-in-time.js';
import { pushRows } from '../../store/pushes.js';
import type { World } from '../support/world.js';

/** Two shops whose days are published, pushed to, flushed and verified; each test has a project of its own. */

export const at = (text: string): Instant => instant(`2001-01-${text}`);
export const asOf = at('10');
/** Two shops over nine days; `noted` is when a row could be known. */
const rowsSql = (change = 'day * 10 + shop') => `
  SELECT shop, 'ü"' || shop AS label, TIMESTAMP '2001-01-01' + to_days((day - 1)::INTEGER) AS "at", TIMESTAMP '2001-01-01' + to_days((day - 1)::INTEGER) + INTERVAL 1 HOUR AS noted,
    (${change})::DOUBLE AS amount, CASE WHEN day % 2 = 0 THEN day END AS even FROM range(1, 3) s(shop), range(1, 10) d(day)`;

function resources(path: string, change: object = {}): Resource[] {
  const view = {
    ...{
      entity: 'shop',
      sources: ['sales'],
      eventTime: 'at',
      knownAt: 'noted',
      ttl: '30d',
      lookback: '0d',
      window: '1d',
    },
    sql: 'SELECT shop, "at", noted, amount, even, label FROM sales',
    features: [
      { name: 'amount', type: 'DOUBLE' },
      { name: 'even', type: 'BIGINT' },
      { name: 'label', type: 'VARCHAR' },
    ],
    ...change,
  };
  return [
    { kind: 'Source', name: 'sales', spec: { path, eventTime: 'at' } },
    { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'BIGINT' }] } },
    { kind: 'FeatureView', name: 'shop_day', spec: view },
  ].map((one) => Resource.parse(one));
}

export const row = (shop: number, day: string, amount: number, noted: string | null = null): PushedRow => ({
  ...{ shop, at: at(day), noted, amount, even: null, label: 'pushed' },
});

/** What a test does with its project. */
export type Shop = Awaited<ReturnType<typeof openShop>>;
let shops = 0;
let pushes = 0;

export async function openShop(world: World, name: string) {
  armFailpoints('');
  const project = `${name}${++shops}` as ProjectName;
  const path = await world.write(`${project}.parquet`, rowsSql());
  await world.apply(resources(path), project);
  const reader = new OnlineAnswers(world.db);
  /** Another revision of the view. */
  const declare = (change: object) => world.apply(resources(path, change), project);
  const materialize = (revision = 1) =>
    world.run('materializeView', `materialize/${project}`, {
      ...{ project, view: 'shop_day', revision, start: at('01'), end: at('10'), principal: 'ann' },
    });
  const publishing: () => PublishView = () => ({ project, view: 'shop_day', revision: 1, asOf, principal: 'ann' });
  const publish = (input: Partial<PublishView> = {}) =>
    world.run('publishView', workflowIds.publish(project, 'shop_day'), { ...publishing(), ...input });
  const flush = () => world.run('flushPushes', workflowIds.flush(project, 'shop_day'), { project, view: 'shop_day', principal: 'ann' }); // prettier-ignore
  const verify = (input: Partial<VerifyOnline> = {}) =>
    world.run('verifyOnline', workflowIds.verifyOnline(project, 'shop_day'), {
      ...{ project, view: 'shop_day', seed: 1, repair: false, principal: 'ann', ...input },
    });
  const push = (rows: readonly PushedRow[], to: PushTarget = 'online_and_offline', id = `push${++pushes}`) =>
    pushRows(world.db, { project, view: 'shop_day', rows, to, id }, anonymous);
  const read = async (shops: readonly number[] = [1, 2], options: { asOf?: Instant } = { asOf: at('12') }) => {
    const answer = await reader.read(project, { features: ['shop_day:amount'], entities: { shop: shops }, ...options });
    return answer.columns[0]?.values;
  };
  /** What training sets get for these shops at the instant. */
  const joined = (when: Instant = at('12')) =>
    world.engine.session(async (session) => {
      const selection = { features: ['shop_day:amount'], joins: [] };
      const { views } = await resolveJoins(world, session, project, selection, { range: null });
      const spine = `(SELECT shop::BIGINT AS shop, TIMESTAMP '${when.slice(0, 23)}' AS asked FROM range(1, 3) s(shop))`;
      const rows = await session.rows<{ shop_day__amount: number }>(
        `SELECT * FROM ${pointInTimeJoin(spine, 'asked', views)} ORDER BY shop`,
      );
      return rows.map((one) => one.shop_day__amount);
    });
  return { project, reader, declare, materialize, publishing, publish, flush, verify, push, read, joined };
}
