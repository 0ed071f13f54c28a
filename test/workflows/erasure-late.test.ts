import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toFailure } from '../../apps/worker/failures.js';
import { DatasetSpec } from '../../domain/datasets.js';
import type { Column } from '../../domain/features.js';
import { armFailpoints } from '../../domain/failpoints.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { quoteText } from '../../lake/duckdb.js';
import { until } from '../../programs/waiting.js';
import { abandonErasure, erasureKey, openErasure } from '../../store/erasures.js';
import { applyResources } from '../../store/resources.js';
import { tables } from '../../store/tables.js';
import { failureOf, withWorld, type World } from '../support/world.js';
import { gone, openPlaces, type Erasing } from './erased-place.js';

/** What still holds an erased key, or comes to hold it again, while its erasure is open. */

let world: World;
let places: Erasing;
let project: ProjectName;
beforeAll(async () => void (world = await withWorld()), 120_000);
afterAll(() => world.close());
beforeEach(async () => {
  places = await openPlaces(world, 'late', 3);
  project = places.project;
});

const flush = () =>
  world.run('flushPushes', workflowIds.flush(project, 'place_day'), { project, view: 'place_day', principal: 'ann' });

test('a flush leaves out an erased key, of what was pushed before and of the file that it adds to', async () => {
  await places.push(gone, 2);
  await flush();
  await places.push(gone, 3);
  await places.push('place-2', 2);
  // The tombstone is set; neither the file nor the rows that wait were reached yet.
  await places.open();
  expect(await flush()).toMatchObject({ windows: 2 });
  const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
  const pushed = files.filter(({ lane }) => lane === 'pushes').map(({ key }) => quoteText(world.lake.path(key)));
  expect(await world.query(`SELECT place FROM read_parquet([${pushed.join(', ')}])`)).toEqual([{ place: 'place-2' }]);
});

test('a spine leaves out rows that hold an erased key where the join of a service looks for it', async () => {
  const service = { features: ['rival:mean'], joins: [{ name: 'rival', view: 'place_day', keys: { place: 'other' } }] };
  await applyResources(world.db, project, [Resource.parse({ kind: 'FeatureService', name: 'rivals', spec: service })], anonymous); // prettier-ignore
  await places.run(await places.open());
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
  const { id, workflowId } = await places.open();
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
    openErasure(world.db, { project, entity: 'place', keys: at as Column[], values: value, reason: 'case' }, anonymous); // prettier-ignore
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

  expect(await abandon(two.id)).toMatchObject({ id: two.id, status: 'abandoned', endedAt: expect.any(String) });
  expect(await erasureKey(world.db, project, two.id)).toBeNull();
  const [audited] = await world.db.query(`SELECT principal, subject, details FROM audit WHERE project = $1 AND action = 'abandoned erasure'`, [project]); // prettier-ignore
  expect(audited).toEqual({ principal: 'anonymous', subject: 'Entity/place', details: { erasure: two.id, reason: 'nobody can', erasedRows: 0 } }); // prettier-ignore
  expect(await world.failure('eraseEntity', two.workflowId, { project, erasure: two.id, principal: 'ann' })).toMatchObject({ code: 'erasure_ended' }); // prettier-ignore
});

const abandon = (id: string) => abandonErasure(world.db, project, { id, reason: 'nobody can' }, anonymous);

test('what was computed and pushed without the key of an abandoned erasure comes with it again', async () => {
  const rows = async () => (await tables(world.db).resolve(project, 'features', 'place_day')).rows;
  const before = await rows();
  const opened = await places.open();
  await places.change('amount + 1');
  await places.materialize();
  expect(await places.push(gone, 2)).toMatchObject({ rows: 0 });
  expect(await rows()).toBe(before - 2);
  expect(await abandon(opened.id)).toEqual(await abandon(opened.id));
  expect(await places.materialize()).toMatchObject({ committed: 3 });
  expect(await rows()).toBe(before);
  expect(await places.push(gone, 3)).toMatchObject({ rows: 1 });
  expect(await places.materialize()).toMatchObject({ committed: 0 });
});

test('what was pushed before an erasure that is abandoned, and flushed without its key meanwhile, is flushed again', async () => {
  const pushed = async () => {
    const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
    const lane = files.filter((file) => file.lane === 'pushes').map(({ key }) => quoteText(world.lake.path(key)));
    return world.query(
      `SELECT place, day(event_time)::DOUBLE AS day FROM read_parquet([${lane.join(', ')}]) ORDER BY ALL`,
    );
  };
  await places.push(gone, 1);
  await places.push(gone, 2);
  await flush();
  await places.push(gone, 3);
  await places.push('place-2', 2);
  const opened = await places.open();
  await flush();
  const whole = [{ place: gone, day: 1 }, { place: gone, day: 2 }, { place: gone, day: 3 }, { place: 'place-2', day: 2 }]; // prettier-ignore
  expect(await pushed()).toEqual([whole[0], whole[3]]);
  await abandon(opened.id);
  expect(await flush()).toMatchObject({ rows: 2, windows: 2 });
  expect(await pushed()).toEqual(whole);
});

test('a step that is under way while its erasure is abandoned takes no row', async () => {
  const rows = async () => {
    const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
    const list = files.map(({ key }) => quoteText(world.lake.path(key))).join(', ');
    return world.query(`SELECT place, event_time::VARCHAR AS at FROM read_parquet([${list}]) ORDER BY ALL`);
  };
  const staged = () => readdir(join(world.lake.root, project), { recursive: true });
  const [before, files] = [await rows(), await staged()];
  const opened = await places.open();
  armFailpoints('erase.rewritten=delay');
  const failing = world.failure('eraseEntity', opened.workflowId, { project, erasure: opened.id, principal: 'ann' });
  // The file without the key is written, and waits to take the other one's place.
  expect(await until(async () => (await staged()).length > files.length, 20_000)).toBe(true);
  await abandon(opened.id);
  expect(await failing).toMatchObject({ code: 'erasure_ended' });
  expect(await rows()).toEqual(before);
});

test('an erasure that has taken rows cannot be abandoned, nor one that is done, and a key that was erased before stays out', async () => {
  const spine = { from: 'sql', sources: ['events'], sql: 'SELECT id, "at" AS asked, place FROM events' };
  const spec = DatasetSpec.parse({ name: 'asked', eventTime: 'asked', spine });
  await world.run('buildDataset', workflowIds.dataset(project, spec.name), { project, spec, principal: 'ann' });
  const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
  const [file = ''] = files.map(({ key }) => world.lake.path(key));
  const bytes = await readFile(file);
  await writeFile(file, 'no Parquet');
  const opened = await places.open();
  expect(await world.failure('eraseEntity', opened.workflowId, { project, erasure: opened.id, principal: 'ann' })).toMatchObject({ code: 'query_failed' }); // prettier-ignore
  await expect(abandon(opened.id)).rejects.toMatchObject({ code: 'erasure_begun', data: { files: 1 } });
  await writeFile(file, bytes);
  await places.run(opened);
  await expect(abandon(opened.id)).rejects.toMatchObject({ code: 'erasure_ended' });

  const again = await places.open();
  expect(await abandon(again.id)).toMatchObject({ status: 'abandoned' });
  expect(await places.push(gone, 2)).toMatchObject({ rows: 0 });
});
