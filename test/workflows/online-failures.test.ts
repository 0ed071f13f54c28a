import { armFailpoints } from '../../domain/failpoints.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { getReport } from '../../store/online-reports.js';
import { liveGeneration, tableOf } from '../../store/online.js';
import { withWorld, type World } from '../support/world.js';
import { at, openShop, row, type Shop } from './online-shop.js';

/** The online store after failures at its borders, and after somebody changed it behind its back. */

let world: World;
let project: ProjectName;
let shop: Shop;
beforeAll(async () => (world = await withWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  shop = await openShop(world, 'failing');
  project = shop.project;
});

test.each(['publish.loaded', 'publish.before_flip', 'publish.after_flip'])(
  'a publish that fails at %s leaves readers with a whole generation, and is repeated',
  async (name) => {
    await shop.materialize();
    await shop.publish({ asOf: at('06') });
    armFailpoints(`${name}=throw`);
    const failed = await world.failure('publishView', workflowIds.publish(project, 'shop_day'), shop.publishing());
    expect(failed).toMatchObject({ code: 'internal', message: expect.stringContaining(name) });
    expect(await shop.read()).toEqual(name === 'publish.after_flip' ? [91, 92] : [51, 52]);
    await shop.publish();
    expect(await shop.read()).toEqual([91, 92]);
    const tables = await world.db.query("SELECT tablename FROM pg_tables WHERE schemaname = 'online' AND tablename IN (SELECT 'g' || id FROM online_generations WHERE project = $1)", [project]); // prettier-ignore
    expect(tables).toHaveLength(2);
    expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
  },
);

test('a push that fails inside of its transaction leaves nothing, one that fails after it is there, and both are repeated by id', async () => {
  await shop.materialize();
  await shop.publish();
  const rows = [row(1, '11', 400)];
  armFailpoints('push.inside=throw');
  await expect(shop.push(rows, 'online_and_offline', 'once')).rejects.toMatchObject({ code: 'internal' });
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[91], 91]);
  armFailpoints('push.after=throw');
  await expect(shop.push(rows, 'online_and_offline', 'once')).rejects.toMatchObject({ code: 'internal' });
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[400], 400]);
  expect(await shop.push(rows, 'online_and_offline', 'once')).toMatchObject({
    sequence: 1,
    applied: 1,
    repeated: true,
  });
  await expect(shop.push([row(1, '11', 401)], 'online_and_offline', 'once')).rejects.toMatchObject({ code: 'push_id_reused' }); // prettier-ignore
  expect(await world.db.query('SELECT 1 FROM pushed_rows WHERE project = $1', [project])).toHaveLength(1);
});

test('a flush that fails before its commit leaves the rows waiting, and is repeated', async () => {
  await shop.materialize();
  await shop.push([row(1, '03', 5), row(1, '04', 6)]);
  armFailpoints('flush.staged=throw:2');
  await world.failure('flushPushes', workflowIds.flush(project, 'shop_day'), { project, view: 'shop_day', principal: 'ann' }); // prettier-ignore
  expect(await world.db.query('SELECT 1 FROM pushed_rows WHERE project = $1 AND flushed_snapshot IS NULL', [project])).toHaveLength(1); // prettier-ignore
  expect(await shop.flush()).toMatchObject({ rows: 1, windows: 1, snapshot: 11 });
  expect([await shop.joined(at('03')), await shop.joined(at('04'))]).toEqual([
    [5, 22],
    [6, 32],
  ]);
});

test('a row that somebody changed in PostgreSQL is found, named, and repaired; so are rows too many and too few', async () => {
  await shop.materialize();
  await shop.publish();
  const { id } = (await liveGeneration(world.db, project, 'shop_day')) as { id: number };
  await world.db.query(`UPDATE ${tableOf(id)} SET features = '[91.5,null,"x"]' WHERE key = '[1]'`);
  const report = async (found: { id: string }) =>
    (await getReport(world.db, project, 'shop_day', found.id))?.differences;
  expect(await report(await shop.verify())).toEqual([
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
  const found = await shop.verify();
  expect(found).toMatchObject({ differing: 3, counts: { stale: 1, missing_online: 1, missing_offline: 1, ahead: 0, values_differ: 0 } }); // prettier-ignore
  expect((await report(found))?.map(({ key, why }) => [key[0], why])).toEqual([
    [1, 'stale'],
    [2, 'missing_online'],
    [3, 'missing_offline'],
  ]);
  expect(await shop.verify({ repair: true })).toMatchObject({ differing: 3, repaired: 3 });
  expect(await shop.verify()).toMatchObject({ differing: 0, compared: 2 });
  expect(await shop.read()).toEqual([91, 92]);
});
