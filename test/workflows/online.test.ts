import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities/index.js';
import { armFailpoints } from '../../domain/failpoints.js';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import type { PushedRow, PushTarget } from '../../domain/online.js';
import type { PublishView, VerifyOnline } from '../../domain/publishing.js';
import { Resource } from '../../domain/resources.js';
import { pointInTimeJoin } from '../../lake/point-in-time.js';
import { resolveJoins } from '../../activities/joins.js';
import { getReport } from '../../store/online-reports.js';
import { liveGeneration, listGenerations, tableOf } from '../../store/online.js';
import { rollBack } from '../../store/online-publish.js';
import { pushRows } from '../../store/pushes.js';
import { keyDigest } from '../../domain/erasure.js';
import { keySecret, setTombstone } from '../../store/tombstones.js';
import { anonymous } from '../../domain/principal.js';
import { OnlineReader } from '../../apps/api/online-reader.js';
import { withWorld, type World } from '../support/world.js';

/** Publish, push, flush and proof on PostgreSQL, DuckDB and Temporal. */

let world: World;
let reader: OnlineReader;
let project: ProjectName;
let tests = 0;
beforeAll(async () => {
  world = await withWorld();
  reader = new OnlineReader(world.db);
});
afterAll(() => world.close());

const at = (text: string): Instant => instant(`2001-01-${text}`);
const asOf = at('10');
/** Two shops over nine days; `noted` is when a row could be known. */
const rowsSql = (change = 'day * 10 + shop') => `
  SELECT shop, 'ü"' || shop AS label, TIMESTAMP '2001-01-01' + to_days((day - 1)::INTEGER) AS "at", TIMESTAMP '2001-01-01' + to_days((day - 1)::INTEGER) + INTERVAL 1 HOUR AS noted,
    (${change})::DOUBLE AS amount, CASE WHEN day % 2 = 0 THEN day END AS even FROM range(1, 3) s(shop), range(1, 10) d(day)`;

function resources(path: string): Resource[] {
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
  };
  return [
    { kind: 'Source', name: 'sales', spec: { path, eventTime: 'at' } },
    { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'BIGINT' }] } },
    { kind: 'FeatureView', name: 'shop_day', spec: view },
  ].map((one) => Resource.parse(one));
}

beforeEach(async () => {
  armFailpoints('');
  project = `online${++tests}` as ProjectName;
  const path = await world.write(`${project}.parquet`, rowsSql());
  await world.apply(resources(path), project);
});

const materialize = () =>
  world.run('materializeView', `materialize/${project}`, {
    ...{ project, view: 'shop_day', revision: 1, start: at('01'), end: at('10'), principal: 'ann' },
  });
const publishing: () => PublishView = () => ({ project, view: 'shop_day', revision: 1, asOf, principal: 'ann' });
const publish = (input: Partial<PublishView> = {}) =>
  world.run('publishView', workflowIds.publish(project, 'shop_day'), { ...publishing(), ...input });
const flush = () => world.run('flushPushes', workflowIds.flush(project, 'shop_day'), { project, view: 'shop_day', principal: 'ann' }); // prettier-ignore
const verify = (input: Partial<VerifyOnline> = {}) =>
  world.run('verifyOnline', workflowIds.verifyOnline(project, 'shop_day'), {
    ...{ project, view: 'shop_day', seed: 1, repair: false, principal: 'ann', ...input },
  });
let pushes = 0;
const push = (rows: readonly PushedRow[], to: PushTarget = 'online_and_offline', id = `push${++pushes}`) =>
  pushRows(world.db, { project, view: 'shop_day', rows, to, id }, anonymous);
const row = (shop: number, day: string, amount: number, noted: string | null = null): PushedRow => ({
  ...{ shop, at: at(day), noted, amount, even: null, label: 'pushed' },
});
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

test('a publish loads the newest row of each key, and readers see one whole generation', async () => {
  await materialize();
  const published = await publish();
  expect(published).toMatchObject({ generation: 1, rows: 2, snapshot: 9, replayed: 0, before: null, watermark: asOf });
  const features = ['shop_day:amount', 'shop_day:even', 'shop_day:label'];
  expect(await reader.read(project, { features, entities: { shop: [2, 9, null, 1] }, asOf })).toEqual({
    columns: [
      expect.objectContaining({
        ref: 'shop_day:amount',
        values: [92, null, null, 91],
        statuses: ['PRESENT', 'NOT_FOUND', 'NOT_FOUND', 'PRESENT'],
        eventTimes: [at('09'), null, null, at('09')],
      }),
      expect.objectContaining({ values: [null, null, null, null], statuses: ['NULL_VALUE', 'NOT_FOUND', 'NOT_FOUND', 'NULL_VALUE'] }), // prettier-ignore
      expect.objectContaining({ values: ['ü"2', null, null, 'ü"1'] }),
    ],
    generations: [{ view: 'shop_day', revision: 1, generation: 1 }],
  });
  expect(await verify()).toMatchObject({ compared: 2, differing: 0, bucketsDiffering: 0 });
});

test('rows that could not be known by the watermark are not published', async () => {
  await materialize();
  await publish({ asOf: instant('2001-01-09T00:59:59.999999Z') });
  expect(await read()).toEqual([81, 82]);
  await publish({ asOf: instant('2001-01-09T01:00:00Z') });
  expect(await read()).toEqual([91, 92]);
  expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('what is pushed is online at once, and joins see it before and after it is flushed, and after the next publish', async () => {
  await materialize();
  await publish();
  const pushed = await push([row(1, '11', 500), row(2, '05', 7)]);
  expect(pushed).toMatchObject({ rows: 2, sequence: 2, applied: 1, generation: 1, repeated: false });
  const expected = [500, 92];
  expect([await read(), await joined()]).toEqual([expected, expected]);
  expect(await joined(at('05'))).toEqual([41, 7]);
  expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
  expect(await flush()).toMatchObject({ rows: 2, windows: 2, snapshot: 11 });
  expect(await flush()).toMatchObject({ rows: 0, windows: 0 });
  expect([await read(), await joined(), await joined(at('05'))]).toEqual([expected, expected, [41, 7]]);
  expect(await verify()).toMatchObject({ differing: 0 });
  await publish({ asOf: at('12') });
  expect([await read(), await joined()]).toEqual([expected, expected]);
  expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('older rows do not overwrite newer ones, and a row of the same instants is a correction, online and offline', async () => {
  await materialize();
  await publish();
  expect(await push([row(1, '08', 1)])).toMatchObject({ applied: 0 });
  expect(await push([row(1, '09', 2)])).toMatchObject({ applied: 0 });
  // Of the same known-at as the source's row, and smaller in content.
  expect(await push([row(1, '09', 3, instant('2001-01-09T01:00:00Z'))])).toMatchObject({ applied: 1 });
  expect([await read([1]), (await joined())[0]]).toEqual([[3], 3]);
  await push([row(1, '09', 2.5, instant('2001-01-09T01:00:00Z'))]);
  expect([await read([1]), (await joined())[0]]).toEqual([[2.5], 2.5]);
  await flush();
  await push([row(1, '09', 2.25, instant('2001-01-09T01:00:00Z'))]);
  expect([await read([1]), (await joined())[0]]).toEqual([[2.25], 2.25]);
  await flush();
  expect([await read([1]), (await joined())[0]]).toEqual([[2.25], 2.25]);
  await publish();
  expect([await read([1]), (await joined())[0]]).toEqual([[2.25], 2.25]);
  expect(await verify()).toMatchObject({ differing: 0 });
});

test('rows that are pushed online only survive publishes, until something newer beats them', async () => {
  await materialize();
  await publish();
  await push([row(1, '11', 77)], 'online');
  await push([row(2, '11', 78)], 'offline');
  expect([await read(), await joined()]).toEqual([
    [77, 92],
    [91, 78],
  ]);
  await publish({ asOf: at('12') });
  expect(await read()).toEqual([77, 78]);
  expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
  await push([row(1, '11', 79)], 'offline');
  await flush();
  await publish({ asOf: at('12') });
  expect(await read()).toEqual([79, 78]);
  expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('an erased key is not published again, although the sources still hold it', async () => {
  await materialize();
  const secret = await keySecret(world.db);
  const digest = keyDigest(secret, { project, entity: 'shop' }, '[1]');
  await world.db.transaction((tx) => setTombstone(tx, { project, entity: 'shop', digest, erasure: 'case 4711' }));
  expect(await publish()).toMatchObject({ rows: 1 });
  expect(await read()).toEqual([null, 92]);
});

test('what is pushed while a publish loads is written again before the flip', async () => {
  await materialize();
  await publish();
  const steps = createActivities(world);
  const step = <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>, ...args: Args) =>
    new MockActivityEnvironment({ workflowExecution: { workflowId: 'p', runId: project } }).run(work, ...args) as Promise<Result>; // prettier-ignore
  const plan = await step(steps.planPublish, publishing());
  expect(await step(steps.planPublish, publishing())).toEqual(plan);
  await push([row(1, '11', 11)]);
  const loaded = await step(steps.loadPublished, { project, id: plan.id });
  expect(await step(steps.loadPublished, { project, id: plan.id })).toEqual(loaded);
  await push([row(2, '11', 12)]);
  expect((await reader.read(project, { features: ['shop_day:amount'], entities: { shop: [1] } })).generations[0]?.generation).toBe(1); // prettier-ignore
  const flip = await step(steps.flipPublished, { project, id: plan.id, principal: 'ann' });
  expect(flip).toMatchObject({ replayed: 2, before: 1 });
  expect(await step(steps.flipPublished, { project, id: plan.id, principal: 'ann' })).toEqual(flip);
  expect(await read()).toEqual([11, 12]);
  expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('a roll-back shows the generation before at once, with everything that was pushed since', async () => {
  await materialize();
  await publish({ asOf: at('06') });
  await publish();
  expect(await read()).toEqual([91, 92]);
  await push([row(1, '11', 300)]);
  const back = await rollBack(world.db, project, 'shop_day', 'the new values look wrong', anonymous);
  expect(back).toMatchObject({ generation: { generation: 1, status: 'live' }, before: 2, replayed: 1, left: 0 });
  expect(await read()).toEqual([300, 52]);
  expect(await verify()).toMatchObject({ generation: 1, compared: 2, differing: 0 });
  await expect(rollBack(world.db, project, 'shop_day', null, anonymous)).rejects.toMatchObject({ code: 'generation_none_older' }); // prettier-ignore
  await publish();
  expect(await read()).toEqual([300, 92]);
  // Only the live generation and the one before it have a table.
  expect((await listGenerations(world.db, project, 'shop_day')).map(({ generation, status }) => [generation, status])).toEqual([[3, 'live'], [2, 'dropped'], [1, 'retired']]); // prettier-ignore
});

test.each(['publish.loaded', 'publish.before_flip', 'publish.after_flip'])(
  'a publish that fails at %s leaves readers with a whole generation, and is repeated',
  async (name) => {
    await materialize();
    await publish({ asOf: at('06') });
    armFailpoints(`${name}=throw`);
    const failed = await world.failure('publishView', workflowIds.publish(project, 'shop_day'), publishing());
    expect(failed).toMatchObject({ code: 'internal', message: expect.stringContaining(name) });
    expect(await read()).toEqual(name === 'publish.after_flip' ? [91, 92] : [51, 52]);
    await publish();
    expect(await read()).toEqual([91, 92]);
    const tables = await world.db.query("SELECT tablename FROM pg_tables WHERE schemaname = 'online' AND tablename IN (SELECT 'g' || id FROM online_generations WHERE project = $1)", [project]); // prettier-ignore
    expect(tables).toHaveLength(2);
    expect(await verify()).toMatchObject({ compared: 2, differing: 0 });
  },
);

test('a push that fails inside of its transaction leaves nothing, one that fails after it is there, and both are repeated by id', async () => {
  await materialize();
  await publish();
  const rows = [row(1, '11', 400)];
  armFailpoints('push.inside=throw');
  await expect(push(rows, 'online_and_offline', 'once')).rejects.toMatchObject({ code: 'internal' });
  expect([await read([1]), (await joined())[0]]).toEqual([[91], 91]);
  armFailpoints('push.after=throw');
  await expect(push(rows, 'online_and_offline', 'once')).rejects.toMatchObject({ code: 'internal' });
  expect([await read([1]), (await joined())[0]]).toEqual([[400], 400]);
  expect(await push(rows, 'online_and_offline', 'once')).toMatchObject({ sequence: 1, applied: 1, repeated: true });
  await expect(push([row(1, '11', 401)], 'online_and_offline', 'once')).rejects.toMatchObject({ code: 'push_id_reused' }); // prettier-ignore
  expect(await world.db.query('SELECT 1 FROM pushed_rows WHERE project = $1', [project])).toHaveLength(1);
});

test('a flush that fails before its commit leaves the rows waiting, and is repeated', async () => {
  await materialize();
  await push([row(1, '03', 5), row(1, '04', 6)]);
  armFailpoints('flush.staged=throw:2');
  await world.failure('flushPushes', workflowIds.flush(project, 'shop_day'), { project, view: 'shop_day', principal: 'ann' }); // prettier-ignore
  expect(await world.db.query('SELECT 1 FROM pushed_rows WHERE project = $1 AND flushed_snapshot IS NULL', [project])).toHaveLength(1); // prettier-ignore
  expect(await flush()).toMatchObject({ rows: 1, windows: 1, snapshot: 11 });
  expect([await joined(at('03')), await joined(at('04'))]).toEqual([
    [5, 22],
    [6, 32],
  ]);
});

test('a row that somebody changed in PostgreSQL is found, named, and repaired; so are rows too many and too few', async () => {
  await materialize();
  await publish();
  const { id } = (await liveGeneration(world.db, project, 'shop_day')) as { id: number };
  await world.db.query(`UPDATE ${tableOf(id)} SET features = '[91.5,null,"x"]' WHERE key = '[1]'`);
  const report = async (found: { id: string }) =>
    (await getReport(world.db, project, 'shop_day', found.id))?.differences;
  expect(await report(await verify())).toEqual([
    {
      ...{ key: [1], why: 'values_differ', features: ['amount', 'label'] },
      online: { eventTime: at('09'), values: [91.5, null, 'x'] },
      offline: { eventTime: at('09'), values: [91, null, 'ü"1'] },
    },
  ]);
  await world.db.query(`DELETE FROM ${tableOf(id)} WHERE key = '[2]'`);
  await world.db.query(`INSERT INTO ${tableOf(id)} SELECT '[3]', event_time, known_at, 0, 'no JSON' FROM ${tableOf(id)} WHERE key = '[1]'`); // prettier-ignore
  await world.db.query(
    `UPDATE ${tableOf(id)} SET event_time = event_time - interval '1 microsecond' WHERE key = '[1]'`,
  );
  const found = await verify();
  expect(found).toMatchObject({ differing: 3, counts: { stale: 1, missing_online: 1, missing_offline: 1, ahead: 0, values_differ: 0 } }); // prettier-ignore
  expect((await report(found))?.map(({ key, why }) => [key[0], why])).toEqual([
    [1, 'stale'],
    [2, 'missing_online'],
    [3, 'missing_offline'],
  ]);
  expect(await verify({ repair: true })).toMatchObject({ differing: 3, repaired: 3 });
  expect(await verify()).toMatchObject({ differing: 0, compared: 2 });
  expect(await read()).toEqual([91, 92]);
});
