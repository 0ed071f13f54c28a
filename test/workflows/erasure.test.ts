import { createHmac } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatasetSpec, type RecreatedDataset, type VerifiedDataset } from '../../domain/datasets.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { canonicalJson, sha256 } from '../../domain/json.js';
import { anonymous } from '../../domain/principal.js';
import type { Erased } from '../../domain/snapshots.js';
import { hashRows } from '../../lake/rows.js';
import { quoteText } from '../../lake/duckdb.js';
import { getTrainingSet } from '../../store/datasets.js';
import { erasuresOf, getErasure, type ErasureState } from '../../store/erasures.js';
import { putLabels } from '../../store/labels.js';
import { liveGeneration, tableOf } from '../../store/online.js';
import { tables } from '../../store/tables.js';
import { secretNamed } from '../../store/tombstones.js';
import { dayOf } from '../support/events.js';
import { startWorkerProcess } from '../support/worker.js';
import { withWorld, type World } from '../support/world.js';
import { gone, openPlaces, type Erasing } from './erased-place.js';

/** A key is erased from views, training sets, the online store, logs and labels, and nothing brings it back. */

const days = 12;
let world: World;
let places: Erasing;
let project: ProjectName;
beforeAll(async () => void (world = await withWorld()), 120_000);
afterAll(() => world.close());
beforeEach(async () => {
  places = await openPlaces(world, 'erasing', days);
  project = places.project;
});

async function erase(): Promise<{ erased: Erased; state: ErasureState }> {
  const opened = await places.open();
  const erased = (await places.run(opened)) as Erased;
  return { erased, state: await getErasure(world.db, project, opened.id) };
}
/** How many rows of the key lie in files of the project, whether anything names the file or not. */
async function rowsOnDisk(): Promise<number> {
  const names = await readdir(join(world.lake.root, project), { recursive: true });
  const files = names.filter((name) => name.endsWith('.parquet')).map((name) => join(world.lake.root, project, name));
  const counts = await Promise.all(
    files.map((file) => world.query<{ n: number }>(`SELECT count(*)::INTEGER AS n FROM ${quoteText(file)} WHERE place = '${gone}'`)), // prettier-ignore
  );
  return counts.reduce((sum, [row]) => sum + (row?.n ?? 0), 0);
}
/** Whole tables of PostgreSQL as text, to look for the key in all of it. */
async function recordsWithKey(): Promise<string[]> {
  const names = await world.db.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables WHERE table_schema IN ('public', 'online') AND table_type = 'BASE TABLE'`,
  );
  const found = [];
  for (const { name } of names) {
    const [row] = await world.db.query<{ n: number }>(
      `SELECT count(*) AS n FROM ${name} t WHERE t::text LIKE '%${gone}%'`,
    );
    if (row?.n) found.push(name);
  }
  return found;
}
const dataset = (more: object = {}) =>
  DatasetSpec.parse({
    ...{ name: 'kept', eventTime: 'asked', key: ['id'], features: ['place_day:mean'] },
    spine: { from: 'sql', sources: ['events'], sql: 'SELECT id, "at" AS asked, place, a, happened FROM events WHERE id % 3 = 0' },
    ...more,
  }); // prettier-ignore
const build = (spec = dataset()) =>
  world.run('buildDataset', workflowIds.dataset(project, spec.name), { project, spec, principal: 'ann' });
test('every row of the key leaves every file, snapshot and store, and the certificate says what was where', async () => {
  await places.change('CASE WHEN i = 510 THEN amount + 1 ELSE amount END');
  await places.materialize();
  await world.run('compactTable', `compact/${project}`, { project, schema: 'features', name: 'place_day', revision: 1, principal: 'ann' }); // prettier-ignore
  await places.push(gone, 5);
  await places.push('place-2', 5);
  const label = { label: true, knownAt: dayOf(3) };
  await putLabels(world.db, project, { model: 'risk' }, [{ key: { place: gone }, ...label }, { key: { place: 'place-2' }, ...label }], anonymous); // prettier-ignore
  const before = await tables(world.db).resolve(project, 'features', 'place_day');
  expect(before.files).toHaveLength(1);
  expect(await rowsOnDisk()).toBeGreaterThan(2 * (days - 1));
  const { erased, state } = await erase();

  expect(await rowsOnDisk()).toBe(0);
  expect((await recordsWithKey()).filter((name) => !name.startsWith('public.revisions'))).toEqual([]);
  const [{ left = 0 } = {}] = await world.db.query<{ left: number }>(`SELECT count(*) AS left FROM pushed_rows WHERE project = $1`, [project]); // prettier-ignore
  expect(left).toBe(1);
  const generation = await liveGeneration(world.db, project, 'place_day');
  expect(await world.db.query(`SELECT key FROM ${tableOf(generation?.id ?? 0)}`)).toEqual([{ key: '["place-2"]' }]);

  // Every snapshot is read as it is recorded, without the key.
  for (let snapshot = 1; snapshot <= before.snapshot; snapshot++) {
    const pinned = await tables(world.db).at(project, 'features', 'place_day', 1, snapshot);
    const list = pinned.files.map(({ key }) => quoteText(world.lake.path(key))).join(', ');
    const [row] = await world.query<{ n: number; keys: number }>(
      `SELECT count(*)::INTEGER AS n, count(*) FILTER (place = '${gone}')::INTEGER AS keys FROM read_parquet([${list}])`,
    );
    expect(row).toEqual({ n: pinned.rows, keys: 0 });
  }
  const commits = await world.db.query<{ rowHash: string; key: string; columns: { name: string; type: string }[] }>(
    `SELECT c.row_hash AS "rowHash", f.key, t.columns FROM commits c JOIN files f ON f.commit_id = c.id
     JOIN lake_tables t ON (t.project, t.schema, t.name, t.revision) = (c.project, c.schema, c.name, c.revision) WHERE c.project = $1`,
    [project],
  );
  for (const { rowHash, key, columns } of commits)
    expect((await world.engine.session((session) => hashRows(session, `read_parquet(${quoteText(world.lake.path(key))})`, columns))).rowHash).toBe(rowHash); // prettier-ignore

  const signed = state.certificate;
  expect(erased.sha256).toBe(signed?.sha256);
  expect(signed?.certificate).toMatchObject({
    ...{ project, entity: 'place', keyColumns: ['place'], reason: 'case 4711', keyDigest: state.keyDigest },
    tables: [{ table: 'features/place_day@r1' }],
    rows: { labels: 1, online: 1, pushed: 1, inference_log: 0 },
    sources: ['events'],
    verified: { rowsFound: 0 },
  });
  expect(signed?.certificate.tables[0]?.rows).toBe(days - 1 + 2);
  const text = canonicalJson(signed?.certificate);
  expect(sha256(text)).toBe(signed?.sha256);
  const secret = await secretNamed(world.db, 'erasure_certificates');
  expect(createHmac('sha256', secret).update(text).digest('hex')).toBe(signed?.signature);
  expect(text).not.toContain(gone);
});

test('what was erased does not come back by materialization or pushes, and others do', async () => {
  await erase();
  await places.change('amount + 1');
  const made = await places.materialize();
  expect(made.committed).toBe(days);
  expect(await rowsOnDisk()).toBe(0);
  expect((await tables(world.db).resolve(project, 'features', 'place_day')).rows).toBe(3 * (days - 1));
  expect(await places.push(gone, 5)).toMatchObject({ rows: 0 });
  expect(await places.push('place-2', 5)).toMatchObject({ rows: 1 });
  expect(await world.db.query(`SELECT key FROM pushed_rows WHERE project = $1`, [project])).toEqual([
    { key: '["place-2"]' },
  ]);
});

test('rows that were computed before an erasure and would be committed after it are refused, and computed again without the key', async () => {
  await places.change('amount + 1');
  const running = places.materialize();
  await Promise.all([running, places.run(await places.open())]);
  expect(await rowsOnDisk()).toBe(0);
});

test('training sets that held rows of the key, or pin a snapshot that did, are marked, and verification says so', async () => {
  await build();
  await build(dataset({ name: 'without', spine: { from: 'sql', sources: ['events'], sql: `SELECT id, "at" AS asked, place, a FROM events WHERE place <> '${gone}'` } })); // prettier-ignore
  const [held] = await world.query<{ n: number }>(`SELECT count(*)::INTEGER AS n FROM read_parquet('${world.home}/data/${project}.parquet', file_row_number = true) WHERE place = '${gone}' AND file_row_number % 3 = 0`); // prettier-ignore
  const { state } = await erase();
  expect(await rowsOnDisk()).toBe(0);
  const snapshots = [`features/place_day@r1@s${days}`];
  expect(await erasuresOf(world.db, project, 'kept')).toMatchObject([
    { rows: held?.n, snapshots, reason: 'case 4711' },
  ]);
  expect(await erasuresOf(world.db, project, 'without')).toMatchObject([{ rows: 0, snapshots }]);
  expect(state.certificate?.certificate.trainingSets.map(({ name }) => name)).toEqual(['kept', 'without']);
  const check = { project, name: 'kept', principal: 'ann' };
  const verified = (await world.run('verifyDataset', `verify/${project}`, check)) as VerifiedDataset;
  expect(verified.verdict).toBe('erased');
  // The source still has the rows; a training set that is built from it now has not.
  await build(dataset({ name: 'later' }));
  expect(await rowsOnDisk()).toBe(0);
  const again = (await world.run('recreateDataset', `recreate/${project}`, check)) as RecreatedDataset;
  expect(again).toMatchObject({ verdict: 'erased', spine: 'read' });
  // Rows that came to the source since were never in it.
  await places.change('amount + 1');
  const kept = (await world.run('recreateDataset', `recreate/${project}`, check)) as RecreatedDataset;
  expect(kept.verdict).toBe('erased');
  expect(again.reasons.join(' ')).toContain(`took ${held?.n} rows`);
});

test('a grid whose only key was erased has no rows left, and is made again without any', async () => {
  const grid = {
    from: 'grid',
    keys: { entity: 'place', rows: [{ place: gone }] },
    start: dayOf(3),
    end: dayOf(6),
    step: '1d',
  };
  await build(dataset({ name: 'grid', spine: grid, key: undefined }));
  await erase();
  expect((await getTrainingSet(world.db, project, 'grid')).spec.spine).toMatchObject({ keys: { rows: [] } });
  const check = { project, name: 'grid', principal: 'ann' };
  expect(await world.run('verifyDataset', `verify/${project}`, check)).toMatchObject({ verdict: 'erased' });
  const { verdict, reasons } = (await world.run('recreateDataset', `recreate/${project}`, check)) as RecreatedDataset;
  expect([verdict, reasons.at(-1)]).toEqual(['erased', 'The rows that are left came out.']);
});

test('asking twice while it is open is one erasure, asking again afterwards finds nothing left', async () => {
  const [one, two] = [await places.open(), await places.open()];
  expect(two).toEqual(one);
  await places.run(one);
  const { state } = await erase();
  expect(state.id).not.toBe(one.id);
  expect(state.certificate?.certificate).toMatchObject({ tables: [], trainingSets: [], keyDigest: one.keyDigest });
  const [row] = await world.db.query('SELECT key FROM erasures WHERE project = $1 AND id = $2', [project, one.id]);
  expect(row).toEqual({ key: null });
});

test('a worker that is killed between writing and swapping a file loses nothing, and the next one ends the erasure', async () => {
  await world.stopWorker();
  const dying = await startWorkerProcess({
    ...world,
    environment: { ...world.environment, EIDER_FAILPOINTS: 'erase.rewritten=exit:4' },
  });
  const { id, workflowId } = await places.open();
  const handle = await world.start('eraseEntity', workflowId, { project, erasure: id, principal: 'ann' });
  await dying.gone();
  const before = await rowsOnDisk();
  expect(before).toBeGreaterThan(0);
  await tables(world.db).resolve(project, 'features', 'place_day');
  const next = await startWorkerProcess(world);
  await handle.result();
  expect(await rowsOnDisk()).toBe(0);
  const { certificate } = await getErasure(world.db, project, id);
  expect(certificate?.certificate.tables).toMatchObject([{ rows: days - 1 }]);
  await next.stop();
}, 90_000);
