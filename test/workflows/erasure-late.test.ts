import { writeFile } from 'node:fs/promises';
import { toFailure } from '../../apps/worker/failures.js';
import { DatasetSpec } from '../../domain/datasets.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { quoteText } from '../../lake/duckdb.js';
import { openErasure } from '../../store/erasures.js';
import { pushRows } from '../../store/pushes.js';
import { applyResources } from '../../store/resources.js';
import { tables } from '../../store/tables.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { failureOf, withWorld, type World } from '../support/world.js';

/** What still holds an erased key, or comes to hold it again, while its erasure is open. */

const days = 3;
const gone = 'place-1';
let world: World;
let project: ProjectName;
let tests = 0;
beforeAll(async () => void (world = await withWorld()), 120_000);
afterAll(() => world.close());
beforeEach(async () => {
  project = `late${++tests}` as ProjectName;
  const path = await world.write(`${project}.parquet`, eventsSql({ days }));
  const resources = eventResources({ path, endpoint: false });
  await world.apply(resources.filter(({ kind }) => kind !== 'Monitor'), project); // prettier-ignore
  await world.run('materializeView', `m/${project}`, {
    ...{ project, view: 'place_day', revision: 1, principal: 'ann', start: dayOf(1), end: dayOf(days + 1) },
  });
});

const keys = [{ name: 'place', type: 'VARCHAR' }];
const open = () => openErasure(world.db, { project, entity: 'place', keys, values: [gone], reason: 'case 4711' }, anonymous); // prettier-ignore
async function erase(): Promise<void> {
  const { id, workflowId } = await open();
  await world.run('eraseEntity', workflowId, { project, erasure: id, principal: 'ann' });
}
const push = (place: string, day: number) =>
  pushRows(
    world.db,
    {
      ...{ project, view: 'place_day', to: 'online_and_offline', id: `${place} ${day}` },
      rows: [{ place, event_time: dayOf(day), mean: 1.5, events: 3 }],
    },
    anonymous,
  );
const flush = () =>
  world.run('flushPushes', workflowIds.flush(project, 'place_day'), { project, view: 'place_day', principal: 'ann' });

test('a flush leaves out an erased key, of what was pushed before and of the file that it adds to', async () => {
  await push(gone, 2);
  await flush();
  await push(gone, 3);
  await push('place-2', 2);
  // The tombstone is set; neither the file nor the rows that wait were reached yet.
  await open();
  expect(await flush()).toMatchObject({ windows: 2 });
  const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
  const pushed = files.filter(({ lane }) => lane === 'pushes').map(({ key }) => quoteText(world.lake.path(key)));
  expect(await world.query(`SELECT place FROM read_parquet([${pushed.join(', ')}])`)).toEqual([{ place: 'place-2' }]);
});

test('a spine leaves out rows that hold an erased key where the join of a service looks for it', async () => {
  const service = { features: ['rival:mean'], joins: [{ name: 'rival', view: 'place_day', keys: { place: 'other' } }] };
  await applyResources(world.db, project, [Resource.parse({ kind: 'FeatureService', name: 'rivals', spec: service })], anonymous); // prettier-ignore
  await erase();
  const spec = DatasetSpec.parse({
    ...{ name: 'rivals', eventTime: 'asked', key: ['id'], service: 'rivals' },
    spine: { from: 'sql', sources: ['events'], sql: 'SELECT id, "at" AS asked, place AS other FROM events' },
  });
  await world.run('buildDataset', workflowIds.dataset(project, spec.name), { project, spec, principal: 'ann' });
  const { files } = await tables(world.db).resolve(project, 'datasets', 'rivals');
  const list = files.map(({ key }) => quoteText(world.lake.path(key))).join(', ');
  expect(await world.query(`SELECT DISTINCT other FROM read_parquet([${list}]) ORDER BY 1`)).toEqual(
    ['place-0', 'place-2', 'place-3'].map((other) => ({ other })),
  );
});

test('what fails while the key is looked for does not tell the key', async () => {
  const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
  await writeFile(world.lake.path(files[0]?.key ?? ''), 'no Parquet');
  const { id, workflowId } = await open();
  const handle = await world.start('eraseEntity', workflowId, { project, erasure: id, principal: 'ann' });
  const failure = await failureOf(handle);
  expect(failure.code).toBe('query_failed');
  const { events } = await handle.fetchHistory();
  const failed = events?.flatMap(({ activityTaskFailedEventAttributes: one }) => one?.failure?.applicationFailureInfo?.details?.payloads ?? []); // prettier-ignore
  expect(failed).toHaveLength(1);
  expect(Buffer.from(failed?.[0]?.data ?? []).toString()).not.toContain(gone);
});

test('a file that another took the place of is asked for again, and not for ever', async () => {
  const file = quoteText(world.lake.path('gone.parquet'));
  const error: unknown = await world.query(`SELECT * FROM read_parquet(${file})`).catch((thrown: unknown) => thrown);
  expect(toFailure(error, 1)).toMatchObject({ type: 'query_failed', nonRetryable: false });
  expect(toFailure(error, 10)).toMatchObject({ type: 'query_failed', nonRetryable: true });
});

test('a key whose column was renamed is erased from what earlier revisions hold, and one of other columns is refused', async () => {
  const entity = (...columns: object[]) => Resource.parse({ kind: 'Entity', name: 'place', spec: { keys: columns } });
  const renamed = { name: 'spot', type: 'VARCHAR' };
  const erasing = (at: object[], value: readonly string[]) =>
    openErasure(world.db, { project, entity: 'place', keys: at as typeof keys, values: value, reason: 'case' }, anonymous); // prettier-ignore
  await applyResources(world.db, project, [entity(renamed)], anonymous);
  const one = await erasing([renamed], [gone]);
  await world.run('eraseEntity', one.workflowId, { project, erasure: one.id, principal: 'ann' });
  const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
  const list = files.map(({ key }) => quoteText(world.lake.path(key))).join(', ');
  expect(await world.query(`SELECT DISTINCT place FROM read_parquet([${list}]) ORDER BY 1`)).toHaveLength(3);

  const level = { name: 'level', type: 'VARCHAR' };
  await applyResources(world.db, project, [entity(renamed, level)], anonymous);
  const two = await erasing([renamed, level], [gone, '1']);
  const failure = await world.failure('eraseEntity', two.workflowId, { project, erasure: two.id, principal: 'ann' });
  expect(failure).toEqual({ code: 'erasure_incomplete', message: expect.stringContaining('features/place_day@r1 have the key place') }); // prettier-ignore
});
