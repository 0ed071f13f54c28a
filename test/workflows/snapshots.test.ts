import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { armFailpoints } from '../../domain/failpoints.js';
import { workflowIds, type ProjectName, type Sha256 } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { Collected, Compacted } from '../../domain/snapshots.js';
import { uploadKey, uploads } from '../../domain/spines.js';
import type { PinnedTable } from '../../domain/tables.js';
import { recordLineage } from '../../store/db.js';
import { listSnapshots } from '../../store/history.js';
import { leaseSnapshot, promiseSnapshots } from '../../store/leases.js';
import { pushRows } from '../../store/pushes.js';
import type { TableRef } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** Compaction and garbage collection over twenty daily windows of a small view, on PostgreSQL, DuckDB and Temporal. */

const days = 20;
const range = { start: dayOf(1), end: dayOf(days + 1) };

let world: World;
let project: ProjectName;
let table: TableRef;
let tests = 0;
beforeAll(async () => (world = await withWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  project = `snapshots${++tests}` as ProjectName;
  table = { project, schema: 'features', name: 'place_day', revision: 1 };
  await world.apply(eventResources({ path: await change('amount') }), project);
  await materialize();
});
afterEach(() => armFailpoints(''));

const change = (sql: string) => world.write(`${project}.parquet`, eventsSql({ days, change: sql }));
let works = 0;
const materialize = () =>
  world.run('materializeView', workflowIds.materialize(project, 'place_day', 1, range.start, range.end), {
    ...{ project, view: 'place_day', revision: 1, ...range, principal: 'ann' },
  });
const compact = (): Promise<Compacted> =>
  world.run('compactTable', `compact/${project}/${++works}`, { ...table, principal: 'ann' });
const collecting = (keep: string, dryRun = false) => ({ project, keep, dryRun, principal: 'ann' });
const collect = (keep = '0d', dryRun = false): Promise<Collected> =>
  world.run('collectGarbage', `gc/${project}/${++works}`, collecting(keep, dryRun));
const at = (snapshot: number) => tables(world.db).at(project, 'features', 'place_day', 1, snapshot);
const newest = () => tables(world.db).resolve(project, 'features', 'place_day');
/** All rows in the order in which a reader gets them. */
const rowsOf = ({ files }: PinnedTable) =>
  world.query(`SELECT * FROM read_parquet([${files.map(({ key }) => `'${world.lake.path(key)}'`).join(', ')}])`);
async function everySnapshot(): Promise<{ rowHash: string | null; rows: number; content: unknown }[]> {
  const { snapshot: last } = await newest();
  return Promise.all(
    Array.from({ length: last }, async (_, index) => {
      const pinned = await at(index + 1);
      return { rowHash: pinned.rowHash, rows: pinned.rows, content: await rowsOf(pinned) };
    }),
  );
}
const onDisk = async () =>
  (await readdir(world.lake.root, { recursive: true })).filter(
    (name) => name.startsWith(`${project}/`) && name.endsWith('.parquet'),
  );
/** Row 1010 reaches the windows of days 11 and 12. */
const changeOne = async (by: number) => {
  await change(`CASE WHEN i = 1010 THEN amount + ${by} ELSE amount END`);
  await materialize();
};

describe('compaction', () => {
  test('one file takes the place of twenty, and every snapshot reads as before: same rows, same order, same hash', async () => {
    await changeOne(1);
    const before = await everySnapshot();
    expect((await newest()).files).toHaveLength(days);
    expect(await compact()).toMatchObject({ filesBefore: days, filesAfter: 1, written: 1, rows: 4 * (days - 1) });
    expect((await newest()).files).toHaveLength(1);
    expect(await everySnapshot()).toEqual(before);
    expect(await compact()).toMatchObject({ written: 0, reason: 'no small files lie next to each other' });
  });

  test('a window that is committed later ends it for newer snapshots only, and nothing is computed again', async () => {
    await compact();
    const compacted = await newest();
    await changeOne(1);
    expect((await at(compacted.snapshot)).files).toEqual(compacted.files);
    expect((await newest()).files).toHaveLength(days);
    const before = await everySnapshot();
    expect(await compact()).toMatchObject({ filesBefore: days, filesAfter: 1 });
    expect(await everySnapshot()).toEqual(before);
  });

  test('windows that are appended later are taken in, when they are enough', async () => {
    const longer = { start: range.start, end: dayOf(days + 6) };
    await compact();
    await world.write(`${project}.parquet`, eventsSql({ days: days + 5 }));
    const input = { project, view: 'place_day', revision: 1, ...longer, principal: 'ann' };
    await world.run('materializeView', `longer/${project}`, input);
    const before = await everySnapshot();
    expect(before.length).toBeGreaterThan(days);
    const made = await compact();
    expect(made).toMatchObject({ filesAfter: 1, written: 1 });
    expect(await everySnapshot()).toEqual(before);
  });

  test('a damaged member is named, and nothing is written from it', async () => {
    const [file] = (await newest()).files;
    await writeFile(world.lake.path(file?.key ?? ''), 'not Parquet');
    expect(await world.failure('compactTable', `damaged/${project}`, { ...table, principal: 'ann' })).toMatchObject({
      code: 'object_corrupt',
      message: expect.stringContaining(file?.key ?? '') as string,
    });
    expect((await newest()).files).toHaveLength(days);
    expect(await onDisk()).toHaveLength(days);
  });

  test('what dies with its file staged leaves every snapshot as it was', async () => {
    const before = await everySnapshot();
    armFailpoints('compact.staged=throw');
    expect((await world.failure('compactTable', `dies/${project}`, { ...table, principal: 'ann' })).code).toBe(
      'internal',
    );
    expect(await everySnapshot()).toEqual(before);
    expect(await onDisk()).toHaveLength(days);
    expect(await compact()).toMatchObject({ filesAfter: 1 });
  });
});

describe('garbage collection', () => {
  test('a dry run says what would go and why the rest stays, and removes nothing', async () => {
    await changeOne(1);
    const before = await onDisk();
    const dry = await collect('0d', true);
    expect(dry).toMatchObject({ dryRun: true, snapshots: { files: 2 }, kept: [] });
    expect(dry.snapshots.bytes).toBeGreaterThan(0);
    const kept = await collect('30d', true);
    expect(kept).toMatchObject({ snapshots: { files: 0 }, kept: [{ reason: 'retention', files: 2 }] });
    expect(await onDisk()).toEqual(before);
    await at(1);
  });

  test('what was replaced and nobody needs goes, and whoever asks for it is told', async () => {
    await changeOne(1);
    const kept = await newest();
    const content = await rowsOf(kept);
    expect(await collect('1h')).toMatchObject({ snapshots: { files: 0 } });
    expect(await collect()).toMatchObject({ dryRun: false, snapshots: { files: 2 } });
    expect(await onDisk()).toHaveLength(days);
    expect(await newest()).toEqual(kept);
    expect(await rowsOf(kept)).toEqual(content);
    await expect(at(days)).rejects.toMatchObject({ code: 'snapshot_collected' });
    const rows = await listSnapshots(world.db, table, { limit: 100 });
    expect(rows.filter(({ readable }) => readable).map(({ snapshot }) => snapshot)).toContain(days + 2);
    expect(rows.find(({ snapshot }) => snapshot === days)?.readable).toBe(false);
    expect(await collect()).toMatchObject({ snapshots: { files: 0, bytes: 0 } });
    const audit = await world.db.query(
      `SELECT details FROM audit WHERE project = $1 AND action = 'collected garbage' ORDER BY id DESC LIMIT 1`,
      [project],
    );
    expect(audit).toMatchObject([{ details: { keep: '0d', snapshots: { files: 0 } } }]);
  });

  test('a snapshot from which something was made stays, and the report says for whom', async () => {
    await changeOne(1);
    const from = ['snapshot', `features/place_day@r1@s${days}`] as const;
    await recordLineage(world.db, project, [{ from, to: ['training_set', 'risk_set'] }]);
    const before = await rowsOf(await at(days));
    expect(await collect()).toMatchObject({
      snapshots: { files: 0 },
      kept: [{ reason: 'training_set', holder: 'training_set/risk_set', snapshot: from[1], files: 2 }],
    });
    expect(await rowsOf(await at(days))).toEqual(before);
    // The snapshot in between was made by two commits and is pinned by nobody; its own file goes.
    await changeOne(2);
    expect(await collect()).toMatchObject({ snapshots: { files: 2 } });
    expect(await rowsOf(await at(days))).toEqual(before);
  });

  test('a snapshot that is read or was promised stays until the lease ends or expires', async () => {
    await changeOne(1);
    const pinned = await at(days);
    const lease = await leaseSnapshot(world.db, pinned, 'stream', 60_000);
    expect(await collect()).toMatchObject({ snapshots: { files: 0 }, kept: [{ reason: 'lease' }] });
    await lease.release();
    // The lease of a process that died is in the past by now.
    await leaseSnapshot(world.db, pinned, 'stream', 0);
    await promiseSnapshots(world.db, [pinned], 0);
    expect(await collect()).toMatchObject({ snapshots: { files: 2 }, kept: [] });
    await expect(leaseSnapshot(world.db, pinned, 'stream', 60_000)).rejects.toMatchObject({
      code: 'snapshot_collected',
    });
    expect(await world.db.query('SELECT 1 FROM leases WHERE project = $1', [project])).toEqual([]);
  });

  test('files that an attempt left staged go once no attempt can live, and not before', async () => {
    const [old, fresh] = ['old', 'fresh'].map((name) => `${project}/features/place_day@r1/left/${name}.parquet`) as [string, string]; // prettier-ignore
    for (const key of [old, fresh]) {
      await mkdir(dirname(world.lake.path(key)), { recursive: true });
      await writeFile(world.lake.path(key), 'half a file');
    }
    const tenDaysAgo = new Date(Date.now() - 10 * 86_400_000);
    await utimes(world.lake.path(old), tenDaysAgo, tenDaysAgo);
    // However old a file is: what a row names stays.
    for (const { key } of (await newest()).files) await utimes(world.lake.path(key), tenDaysAgo, tenDaysAgo);
    expect(await collect('0d', true)).toMatchObject({ orphans: { files: 1, bytes: 11 } });
    expect(await collect()).toMatchObject({ orphans: { files: 1 } });
    const left = await onDisk();
    expect([left.includes(old), left.includes(fresh), left.length]).toEqual([false, true, days + 1]);
  });

  test('an upload that no worker took goes once no workflow can ask for it, and not before', async () => {
    const [old, fresh] = ['a', 'b'].map((one) => uploadKey(one.repeat(64) as Sha256)) as [string, string];
    for (const key of [old, fresh]) await writeFile(await world.artifacts.stage(key), 'a table');
    const tenDaysAgo = new Date(Date.now() - 10 * 86_400_000);
    await utimes(world.artifacts.path(old), tenDaysAgo, tenDaysAgo);
    expect(await collect()).toMatchObject({ scratch: { files: 1, bytes: 7 } });
    expect((await world.artifacts.list(uploads)).map(({ key }) => key)).toEqual([fresh]);
  });

  test('pushed rows go once every snapshot that is needed holds them, and what is read stays the same', async () => {
    const row = { place: 'place-1', event_time: dayOf(5), mean: 7.5, events: 3 };
    await pushRows(world.db, { project, view: 'place_day', to: 'offline', id: 'one', rows: [row] }, anonymous);
    const pinned = { from: ['snapshot', `features/place_day@r1@s${days}`], to: ['training_set', 'early'] } as const;
    const pushed = () => world.db.query('SELECT flushed_snapshot AS flushed FROM pushed_rows WHERE project = $1', [project]); // prettier-ignore
    // Waiting rows are in no snapshot.
    expect(await collect()).toMatchObject({ pushedRows: 0 });
    await world.run('flushPushes', workflowIds.flush(project, 'place_day'), { project, view: 'place_day', principal: 'ann' }); // prettier-ignore
    const content = await rowsOf(await newest());
    expect(content).toContainEqual(expect.objectContaining({ place: 'place-1', mean: 7.5 }));
    // A reader within the retention may ask for the snapshot before.
    expect(await collect('30d')).toMatchObject({ pushedRows: 0 });
    await recordLineage(world.db, project, [pinned]);
    expect(await collect()).toMatchObject({ pushedRows: 0 });
    expect(await pushed()).toEqual([{ flushed: days + 1 }]);
    await world.db.query('DELETE FROM lineage WHERE project = $1 AND to_id = $2', [project, 'early']);
    expect(await collect('0d', true)).toMatchObject({ pushedRows: 1 });
    expect(await collect()).toMatchObject({ pushedRows: 1 });
    expect(await pushed()).toEqual([]);
    expect(await rowsOf(await newest())).toEqual(content);
  });

  test('what dies between marking and deleting is finished by the next collection', async () => {
    await changeOne(1);
    armFailpoints('collect.before_delete=throw');
    expect((await world.failure('collectGarbage', `dies/${project}`, collecting('0d'))).code).toBe('internal');
    expect(await onDisk()).toHaveLength(days + 2);
    await expect(at(days)).rejects.toMatchObject({ code: 'snapshot_collected' });
    await collect();
    expect(await onDisk()).toHaveLength(days);
  });

  test('a compacted file goes when a commit has ended it, and a longer one makes the shorter needless', async () => {
    await compact();
    await changeOne(1);
    await compact();
    const before = (await everySnapshot()).at(-1);
    expect(await collect()).toMatchObject({ compactions: { files: 1 }, snapshots: { files: 2 } });
    const pinned = await newest();
    expect(pinned.files).toHaveLength(1);
    expect({ rowHash: pinned.rowHash, rows: pinned.rows, content: await rowsOf(pinned) }).toEqual(before);
  });
});
