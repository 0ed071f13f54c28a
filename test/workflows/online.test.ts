import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities/index.js';
import { keyDigest } from '../../domain/erasure.js';
import type { ProjectName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { anonymous } from '../../domain/principal.js';
import { listGenerations } from '../../store/online.js';
import { rollBack } from '../../store/online-publish.js';
import { keySecret, setTombstone } from '../../store/tombstones.js';
import { withWorld, type World } from '../support/world.js';
import { asOf, at, openShop, row, type Shop } from './online-shop.js';

/** Publish, push, flush and roll-back on PostgreSQL, DuckDB and Temporal. */

let world: World;
let project: ProjectName;
let shop: Shop;
beforeAll(async () => (world = await withWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  shop = await openShop(world, 'online');
  project = shop.project;
});

test('a publish loads the newest row of each key, and readers see one whole generation', async () => {
  await shop.materialize();
  const published = await shop.publish();
  expect(published).toMatchObject({ generation: 1, rows: 2, snapshot: 9, replayed: 0, before: null, watermark: asOf });
  const features = ['shop_day:amount', 'shop_day:even', 'shop_day:label'];
  expect(await shop.reader.read(project, { features, entities: { shop: [2, 9, null, 1] }, asOf })).toEqual({
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
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0, bucketsDiffering: 0 });
});

test('rows that could not be known by the watermark are not published', async () => {
  await shop.materialize();
  await shop.publish({ asOf: instant('2001-01-09T00:59:59.999999Z') });
  expect(await shop.read()).toEqual([81, 82]);
  await shop.publish({ asOf: instant('2001-01-09T01:00:00Z') });
  expect(await shop.read()).toEqual([91, 92]);
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('what is pushed is online at once, and joins see it before and after it is flushed, and after the next publish', async () => {
  await shop.materialize();
  await shop.publish();
  const pushed = await shop.push([row(1, '11', 500), row(2, '05', 7)]);
  expect(pushed).toMatchObject({ rows: 2, sequence: 2, applied: 1, generation: 1, repeated: false });
  const expected = [500, 92];
  expect([await shop.read(), await shop.joined()]).toEqual([expected, expected]);
  expect(await shop.joined(at('05'))).toEqual([41, 7]);
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
  expect(await shop.flush()).toMatchObject({ rows: 2, windows: 2, snapshot: 11 });
  expect(await shop.flush()).toMatchObject({ rows: 0, windows: 0 });
  expect([await shop.read(), await shop.joined(), await shop.joined(at('05'))]).toEqual([expected, expected, [41, 7]]);
  expect(await shop.verify()).toMatchObject({ differing: 0 });
  await shop.publish({ asOf: at('12') });
  expect([await shop.read(), await shop.joined()]).toEqual([expected, expected]);
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('older rows do not overwrite newer ones, and a row of the same instants is a correction, online and offline', async () => {
  await shop.materialize();
  await shop.publish();
  expect(await shop.push([row(1, '08', 1)])).toMatchObject({ applied: 0 });
  expect(await shop.push([row(1, '09', 2)])).toMatchObject({ applied: 0 });
  // Of the same known-at as the source's row, and smaller in content.
  expect(await shop.push([row(1, '09', 3, instant('2001-01-09T01:00:00Z'))])).toMatchObject({ applied: 1 });
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[3], 3]);
  await shop.push([row(1, '09', 2.5, instant('2001-01-09T01:00:00Z'))]);
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[2.5], 2.5]);
  await shop.flush();
  await shop.push([row(1, '09', 2.25, instant('2001-01-09T01:00:00Z'))]);
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[2.25], 2.25]);
  await shop.flush();
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[2.25], 2.25]);
  await shop.publish();
  expect([await shop.read([1]), (await shop.joined())[0]]).toEqual([[2.25], 2.25]);
  expect(await shop.verify()).toMatchObject({ differing: 0 });
});

test('rows that are pushed online only survive publishes, until something newer beats them', async () => {
  await shop.materialize();
  await shop.publish();
  await shop.push([row(1, '11', 77)], 'online');
  await shop.push([row(2, '11', 78)], 'offline');
  expect([await shop.read(), await shop.joined()]).toEqual([
    [77, 92],
    [91, 78],
  ]);
  await shop.publish({ asOf: at('12') });
  expect(await shop.read()).toEqual([77, 78]);
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
  await shop.push([row(1, '11', 79)], 'offline');
  await shop.flush();
  await shop.publish({ asOf: at('12') });
  expect(await shop.read()).toEqual([79, 78]);
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('an erased key is not published again, although the sources still hold it', async () => {
  await shop.materialize();
  const secret = await keySecret(world.db);
  const digest = keyDigest(secret, { project, entity: 'shop' }, '[1]');
  await world.db.transaction((tx) => setTombstone(tx, { project, entity: 'shop', digest, erasure: 'case 4711' }));
  expect(await shop.publish()).toMatchObject({ rows: 1 });
  expect(await shop.read()).toEqual([null, 92]);
});

test('what is pushed while a publish loads is written again before the flip', async () => {
  await shop.materialize();
  await shop.publish();
  const steps = createActivities(world);
  const step = <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>, ...args: Args) =>
    new MockActivityEnvironment({ workflowExecution: { workflowId: 'p', runId: project } }).run(work, ...args) as Promise<Result>; // prettier-ignore
  const plan = await step(steps.planPublish, shop.publishing());
  expect(await step(steps.planPublish, shop.publishing())).toEqual(plan);
  await shop.push([row(1, '11', 11)]);
  const loaded = await step(steps.loadPublished, { project, id: plan.id });
  expect(await step(steps.loadPublished, { project, id: plan.id })).toEqual(loaded);
  await shop.push([row(2, '11', 12)]);
  expect((await shop.reader.read(project, { features: ['shop_day:amount'], entities: { shop: [1] } })).generations[0]?.generation).toBe(1); // prettier-ignore
  const flip = await step(steps.flipPublished, { project, id: plan.id, principal: 'ann' });
  expect(flip).toMatchObject({ replayed: 2, before: 1 });
  expect(await step(steps.flipPublished, { project, id: plan.id, principal: 'ann' })).toEqual(flip);
  expect(await shop.read()).toEqual([11, 12]);
  expect(await shop.verify()).toMatchObject({ compared: 2, differing: 0 });
});

test('a roll-back shows the generation before at once, with everything that was pushed since', async () => {
  await shop.materialize();
  await shop.publish({ asOf: at('06') });
  await shop.publish();
  expect(await shop.read()).toEqual([91, 92]);
  await shop.push([row(1, '11', 300)]);
  const back = await rollBack(world.db, project, 'shop_day', 'the new values look wrong', anonymous);
  expect(back).toMatchObject({ generation: { generation: 1, status: 'live' }, before: 2, replayed: 1, left: 0 });
  expect(await shop.read()).toEqual([300, 52]);
  expect(await shop.verify()).toMatchObject({ generation: 1, compared: 2, differing: 0 });
  await expect(rollBack(world.db, project, 'shop_day', null, anonymous)).rejects.toMatchObject({ code: 'generation_none_older' }); // prettier-ignore
  await shop.publish();
  expect(await shop.read()).toEqual([300, 92]);
  // Only the live generation and the one before it have a table.
  expect((await listGenerations(world.db, project, 'shop_day')).map(({ generation, status }) => [generation, status])).toEqual([[3, 'live'], [2, 'dropped'], [1, 'retired']]); // prettier-ignore
});
