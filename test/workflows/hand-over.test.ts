import { armFailpoints } from '../../domain/failpoints.js';
import { keyDigest } from '../../domain/erasure.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { rollBack } from '../../store/online-publish.js';
import { pushOf } from '../../store/provenance.js';
import { keySecret, setTombstone } from '../../store/tombstones.js';
import { withWorld, type World } from '../support/world.js';
import { at, openShop, row, type Shop } from './online-shop.js';

/** What was pushed to one revision of a view goes over to the next that is published: online, for joins, and once. */

let world: World;
let project: ProjectName;
let shop: Shop;
beforeAll(async () => (world = await withWorld()), 120_000);
afterAll(() => world.close());
beforeEach(async () => {
  shop = await openShop(world, 'handed');
  project = shop.project;
  await shop.materialize();
  await shop.publish({ asOf: at('12') });
});

const next = async (change: object, revision = 2) => {
  await shop.declare(change);
  await shop.materialize(revision);
};
const amount = { name: 'amount', type: 'DOUBLE' };
const label = { name: 'label', type: 'VARCHAR' };
const publish = (revision: number) => shop.publish({ revision, asOf: at('12') });
/** The same online and for joins, and the comparison of all keys finds no difference. */
const bothHave = async (...values: unknown[]) => {
  expect([await shop.read(), await shop.joined()]).toEqual([values, values]);
  expect(await shop.verify()).toMatchObject({ differing: 0 });
};
const stagedOf = (revision: number) =>
  world.db.query<{ key: string; target: string }>('SELECT key, target FROM pushed_rows WHERE project = $1 AND revision = $2 ORDER BY sequence', [project, revision]); // prettier-ignore

test('rows that were flushed, that wait, and that are online only are taken over, and stay after flushes and publishes', async () => {
  await shop.push([row(1, '10', 500), row(2, '05', 7)]);
  await shop.flush();
  await shop.push([row(2, '11', 600), row(2, '03', 8)]);
  await shop.push([row(1, '11', 700)], 'online');
  await next({ ttl: '60d' });
  expect(await publish(2)).toMatchObject({
    ...{ revision: 2, left: 0 },
    handedOver: [{ revision: 1, rows: 5, left: 0, why: null }],
  });
  expect([await shop.read(), await shop.joined()]).toEqual([
    [700, 600],
    [500, 600],
  ]);
  expect([await shop.joined(at('03')), await shop.joined(at('05'))]).toEqual([
    [21, 8],
    [41, 7],
  ]);
  expect(await shop.verify()).toMatchObject({ revision: 2, compared: 2, differing: 0 });
  // Of both revisions.
  expect(await shop.flush()).toMatchObject({ rows: 4, windows: 4 });
  expect(await publish(2)).toMatchObject({ handedOver: [], left: 0 });
  const first = { key: '[1]', eventTime: at('10'), knownAt: at('10') };
  expect(await pushOf(world.db, { project, schema: 'features', name: 'shop_day', revision: 2 }, first)).toMatchObject({ sequence: 1 }); // prettier-ignore
  expect(await shop.read()).toEqual([700, 600]);
  expect([await shop.joined(at('03')), await shop.joined()]).toEqual([
    [21, 8],
    [500, 600],
  ]);
  expect(await shop.verify()).toMatchObject({ differing: 0 });
});

test('rows whose staging was collected as garbage are taken over out of their files', async () => {
  await shop.push([row(1, '11', 500), row(2, '10', 7)]);
  await shop.flush();
  await publish(1);
  await publish(1);
  const collect = { project, keep: '0s', dryRun: false, principal: 'ann' };
  expect(await world.run('collectGarbage', `collect/${project}`, collect)).toMatchObject({ pushedRows: 2 });
  await next({ ttl: '60d' });
  expect(await publish(2)).toMatchObject({ handedOver: [{ revision: 1, rows: 2, left: 0 }] });
  expect(await stagedOf(2)).toEqual([]);
  await bothHave(500, 7);
});

test('fewer features in another order, and windows of another size, are no obstacle', async () => {
  await shop.push([row(1, '11', 500), row(2, '10', 0.1)]);
  await shop.flush();
  await shop.push([row(2, '11', 1e21)]);
  await next({ features: [label, amount], window: '3d' });
  expect(await publish(2)).toMatchObject({ left: 0 });
  await bothHave(500, 1e21);
  const labels = await shop.reader.read(project, { features: ['shop_day:label'], entities: { shop: [1, 2] }, asOf: at('12') }); // prettier-ignore
  expect(labels.columns[0]?.values).toEqual(['pushed', 'pushed']);
});

test('what a revision cannot read is counted and named as left, and a later one that can takes it from where it is', async () => {
  await shop.push([row(1, '11', 500), row(2, '10', 7)]);
  await shop.flush();
  await shop.push([row(2, '11', 600)]);
  await next({ features: [amount, { name: 'day', type: 'INTEGER' }], sql: 'SELECT shop, "at", noted, amount, day("at") AS day FROM sales' }); // prettier-ignore
  expect(await publish(2)).toMatchObject({
    left: 3,
    handedOver: [{ revision: 1, rows: 0, left: 3, why: 'it has no feature "day"' }],
  });
  await bothHave(91, 92);
  expect(await publish(2)).toMatchObject({ left: 0, handedOver: [] });
  const pushed = { shop: 2, at: at('11'), noted: null, amount: 650, day: 11 };
  await shop.push([pushed]);
  await next({ features: [amount] }, 3);
  // Of revision 1 what was flushed and what waits; of revision 2 what was pushed to it, which stands above.
  expect(await publish(3)).toMatchObject({
    left: 0,
    handedOver: [
      { revision: 1, rows: 3 },
      { revision: 2, rows: 1 },
    ],
  });
  await bothHave(500, 650);
});

test('a correction that was pushed later stands above what was taken over before', async () => {
  await shop.push([row(1, '11', 500)]);
  await shop.flush();
  await next({ ttl: '60d' });
  await publish(2);
  await shop.push([row(1, '11', 499)]);
  await bothHave(499, 92);
  await publish(1);
  await shop.declare({});
  await bothHave(499, 92);
  await shop.push([row(1, '11', 498)]);
  await shop.flush();
  await shop.declare({ ttl: '60d' });
  await publish(2);
  await bothHave(498, 92);
});

test('a roll-back takes what was pushed since back to the revision before, and says what is left', async () => {
  await shop.push([row(1, '10', 500)]);
  await next({ ttl: '60d' });
  await publish(2);
  await shop.push([row(1, '11', 510), row(2, '11', 520)]);
  await shop.flush();
  const back = await rollBack(world.db, project, 'shop_day', null, anonymous);
  expect(back).toMatchObject({ generation: { revision: 1 }, left: 0, handedOver: [{ revision: 2, rows: 2 }] });
  await shop.declare({});
  await bothHave(510, 520);
  await next({ features: [amount] }, 3);
  await publish(3);
  await shop.push([{ shop: 1, at: at('11'), noted: null, amount: 1 }]);
  expect(await rollBack(world.db, project, 'shop_day', null, anonymous)).toMatchObject({
    left: 1,
    handedOver: [{ revision: 3, rows: 0, left: 1, why: 'it has no feature "even"' }],
  });
  await shop.declare({});
  await bothHave(510, 520);
});

test.each(['hand_over.staged', 'publish.before_flip', 'publish.after_flip'])(
  'rows are taken over once when a publish fails at %s and is repeated',
  async (name) => {
    await shop.push([row(1, '10', 500), row(2, '05', 7)]);
    await shop.flush();
    await shop.push([row(2, '11', 600)]);
    await next({ ttl: '60d' });
    armFailpoints(`${name}=throw${name === 'hand_over.staged' ? ':2' : ''}`);
    const failing = { ...shop.publishing(), revision: 2, asOf: at('12') };
    await world.failure('publishView', workflowIds.publish(project, 'shop_day'), failing);
    await shop.push([row(1, '11', 510)]);
    await publish(2);
    expect((await stagedOf(2)).map(({ key }) => key).sort()).toEqual(['[1]', '[2]']);
    await bothHave(510, 600);
    await shop.flush();
    await publish(2);
    await bothHave(510, 600);
    const lane = `SELECT coalesce(sum(rows), 0) AS rows FROM files WHERE project = $1 AND lane = 'pushes' AND revision = 2 AND end_snapshot IS NULL`;
    expect(await world.db.query(lane, [project])).toEqual([{ rows: 4 }]);
  },
);

test('what is pushed while revisions take turns is never lost', async () => {
  await next({ ttl: '60d' });
  let done = false;
  let pushed = 0;
  const pushing = (async () => {
    while (!done) {
      pushed += 1;
      await shop.push([row(1, '11', pushed), row(2, `11T00:00:${String(pushed % 60).padStart(2, '0')}`, pushed)]);
    }
  })();
  // Flushes go on beside the publishes, and write the same windows.
  for (const revision of [2, 1, 2]) await Promise.all([publish(revision), shop.flush()]);
  await rollBack(world.db, project, 'shop_day', null, anonymous);
  await publish(2);
  done = true;
  await pushing;
  expect(await shop.read([1])).toEqual([pushed]);
  expect(await shop.verify()).toMatchObject({ revision: 2, differing: 0 });
  const distinct = await world.db.query<{ rows: number }>('SELECT count(*) AS rows FROM (SELECT DISTINCT push_id, row_index FROM pushed_rows WHERE project = $1 AND revision = 2) AS r', [project]); // prettier-ignore
  expect((await stagedOf(2)).length).toBe(distinct[0]?.rows);
  expect((await shop.joined())[0]).toBe(pushed);
});

test('a revision without rows of its own takes nothing over, and nothing over from readers', async () => {
  await shop.push([row(1, '11', 500)]);
  await shop.flush();
  await shop.declare({ ttl: '60d' });
  const publishing = { ...shop.publishing(), revision: 2 };
  expect(await world.failure('publishView', workflowIds.publish(project, 'shop_day'), publishing)).toMatchObject({
    code: 'features_not_materialized',
  });
  expect(await shop.read()).toEqual([500, 92]);
});

test('an erased key is not taken over, although files of the other revision still hold it', async () => {
  await shop.push([row(1, '11', 500), row(2, '11', 600)]);
  await shop.flush();
  const digest = keyDigest(await keySecret(world.db), { project, entity: 'shop' }, '[1]');
  await world.db.transaction((tx) => setTombstone(tx, { project, entity: 'shop', digest, erasure: 'case 4711' }));
  await next({ ttl: '60d' });
  expect(await publish(2)).toMatchObject({ rows: 1 });
  expect(await shop.read()).toEqual([null, 600]);
  expect(await shop.joined()).toEqual([null, 600]);
});
