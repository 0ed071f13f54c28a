import { completeTable } from '../../store/completeness.js';
import { getResource } from '../../store/resources.js';
import { Resource } from '../../domain/resources.js';
import { tables } from '../../store/tables.js';
import { dayOf, eventResources } from '../support/events.js';
import { days, placeDays, range } from '../support/place-days.js';

/** A view changes, by itself or with what it refers to: the new revision is backfilled, the old one answers meanwhile. */

const { here, input, materialize, commits, pinned, rowsOf, declare } = placeDays();

const changed = (kind: Resource['kind'], name: string, spec: object): Resource => {
  const before = eventResources({ path: here.path }).find((one) => one.kind === kind && one.name === name);
  return Resource.parse({ ...before, spec: { ...before?.spec, ...spec } });
};
const apply = (...resources: Resource[]) => here.world.apply(resources, here.project);
const active = () => getResource(here.world.db, here.project, 'FeatureView', 'place_day');
/** Half an hour later than every row was known before. */
const laterKnown = () => changed('Source', 'events', { knownAt: '"at" + INTERVAL 90 MINUTE' });

test('a Source that changes makes a revision of the view, with its own backfill; the old one answers until it is done', async () => {
  await materialize();
  const before = await pinned('place_day');
  await apply(laterKnown());
  expect(await active()).toMatchObject({ revision: 2, pins: { 'Source/events': 2, 'Entity/place': 1 } });
  expect(await pinned('place_day')).toEqual(before);
  // Half of it is no reason to show half of it.
  await here.world.run('materializeView', `half/${here.project}`, { ...input(2), end: dayOf(11) });
  expect(await pinned('place_day')).toEqual(before);
  expect((await pinned('place_day@r2')).files).toHaveLength(10);
  expect(await completeTable(here.world.db, { ...here.table, revision: 2 })).toEqual({
    revision: 1,
    lacks: { start: range.start, end: range.end },
  });
  expect(await materialize(2)).toMatchObject({ committed: days - 10 });
  const after = await pinned('place_day');
  expect(after).toMatchObject({ revision: 2, snapshot: days });
  expect(after.rowHash).not.toBe(before.rowHash);
  expect(await pinned('place_day@r1')).toEqual(before);
});

test('an older revision is computed with what it was made with, though that has changed since', async () => {
  await materialize();
  const before = (await pinned('place_day')).rowHash;
  await apply(laterKnown());
  // Nothing changed for revision 1, and a window that is computed anew comes out the same.
  expect((await materialize(1)).committed).toBe(0);
  await here.world.db.query("UPDATE window_heads SET source_version = '' WHERE project = $1", [here.project]);
  await here.world.db.query("UPDATE commits SET source_fingerprint = 'lost' WHERE project = $1", [here.project]);
  expect((await materialize(1)).committed).toBe(days);
  expect((await pinned('place_day@r1')).rowHash).toBe(before);
});

test('the old definition restores the old revision, which has nothing to compute', async () => {
  await materialize();
  const before = await pinned('place_day');
  await apply(laterKnown());
  await materialize(2);
  await apply(changed('Source', 'events', {}));
  expect((await active()).revision).toBe(1);
  expect(await pinned('place_day')).toEqual(before);
  expect((await materialize(1)).reason).toMatch(/^nothing to do/);
});

test('keys that are added are columns of a table of their own, and the old table answers with the old ones', async () => {
  const viewSql = `SELECT place, 1 AS shard, "at" AS event_time, amount AS mean, id AS events FROM events`;
  const names = async (name: string) => (await pinned(name)).columns.map((column) => column.name);
  await materialize(await declare({ viewSql }));
  await apply(changed('Entity', 'place', { keys: [{ name: 'place', type: 'VARCHAR' }, { name: 'shard', type: 'BIGINT' }] })); // prettier-ignore
  expect((await active()).revision).toBe(3);
  expect(await names('place_day')).toEqual(['place', 'event_time', 'mean', 'events']);
  await materialize(3);
  expect(await names('place_day')).toEqual(['place', 'shard', 'event_time', 'mean', 'events']);
  expect(await names('place_day@r2')).toEqual(['place', 'event_time', 'mean', 'events']);
});

test('the tables list each view once, in the revision that answers', async () => {
  await materialize();
  await declare({ ttl: '9d' });
  await here.world.run('materializeView', `day/${here.project}`, { ...input(2), end: dayOf(2) });
  const list = () => tables(here.world.db).list(here.project, 'features');
  expect((await list()).map(({ name, revision }) => [name, revision])).toEqual([['place_day', 1]]);
  await materialize(2);
  expect((await list()).map(({ revision }) => revision)).toEqual([2]);
  expect(await commits(1)).toHaveLength(days);
  expect(await rowsOf('place_day@r1')).toEqual(await rowsOf('place_day@r2'));
});

test('a view that drops a feature which a FeatureService selects is refused before it is applied', async () => {
  const service = Resource.parse({ kind: 'FeatureService', name: 'inputs', spec: { features: ['place_day:events'] } });
  await apply(service);
  const dropped = changed('FeatureView', 'place_day', { features: [{ name: 'mean', type: 'DOUBLE' }] });
  const check = { project: here.project, resources: [dropped] };
  expect(await here.world.run('checkResources', `check/${here.project}`, check)).toMatchObject([
    { kind: 'FeatureService', name: 'inputs', field: 'spec.features', code: 'sql_invalid', detail: expect.stringContaining('"events"') }, // prettier-ignore
  ]);
});
