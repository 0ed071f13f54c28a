import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { compactionActivities } from '../../activities/compaction.js';
import { retentionActivities } from '../../activities/retention.js';
import type { Column } from '../../domain/features.js';
import type { CollectGarbage } from '../../domain/snapshots.js';
import type { PinnedTable } from '../../domain/tables.js';
import { quoteText } from '../../lake/duckdb.js';
import { localObjects, type Objects } from '../../lake/objects.js';
import { hashRows } from '../../lake/rows.js';
import { writeWindow } from '../../lake/snapshots.js';
import { recordLineage } from '../../store/db.js';
import { leaseSnapshot } from '../../store/leases.js';
import { commitWindow, windowHeads, type TableRef } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { withLake, type TestLake } from '../support/lake.js';
import { commitOf, day, project } from './samples.js';

/** What is promised of snapshots, while windows are committed, files compacted and garbage collected beside the readers. */

const view: TableRef = { project, schema: 'features', name: 'origin_hour', revision: 1 };
const columns: Column[] = [{ name: 'origin', type: 'VARCHAR' }, { name: 'event_time', type: 'TIMESTAMP' }, { name: 'delay', type: 'DOUBLE' }]; // prettier-ignore
const windows = 8;
const rowsAWindow = 200;

let database: TestDatabase;
let lake: TestLake;
let objects: Objects;
beforeEach(async () => {
  [database, lake] = await Promise.all([withDatabase(), withLake()]);
  objects = localObjects(lake.folder);
});
afterEach(async () => {
  await database.close();
  await lake.close();
});

/** Commits a window whose rows all have this delay, on the window's head. */
async function commit(window: number, delay: number): Promise<number> {
  const [head] = await windowHeads(database.db, view, { start: day(window), end: day(window + 1) });
  const staged = await lake.in(async (session) => {
    await session.run(
      `CREATE OR REPLACE TEMP TABLE made AS SELECT 'A' || (i % 7) AS origin, TIMESTAMP '${day(window).slice(0, 10)}' + to_minutes(i) AS event_time, ${delay}::DOUBLE AS delay FROM range(${rowsAWindow}) t(i)`,
    );
    const writer = { session, objects, relation: 'made', columns, orderBy: ['event_time'], folder: 'eider/features/origin_hour@r1' }; // prettier-ignore
    const planned = { start: day(window), end: day(window + 1), sourceFingerprint: `${delay}`, predecessor: null };
    return writeWindow(writer, 'event_time', planned);
  });
  const { snapshot } = await commitWindow(database.db, { ...commitOf(staged, head?.commit ?? null, view), columns });
  return snapshot;
}

// A compaction that comes too late fails, as it should; not every such failure is to be printed.
const quiet = { logger: new DefaultLogger('ERROR') };
const step = <Input, Result>(work: (input: Input) => Promise<Result>, input: Input): Promise<Result> =>
  new MockActivityEnvironment({ workflowExecution: { workflowId: 'w', runId: 'r' } }, quiet).run(
    work as never,
    input,
  ) as never;
async function compact(): Promise<number> {
  const steps = compactionActivities({ db: database.db, engine: lake.engine, lake: objects });
  const { runs } = await step(steps.planCompaction, { ...view, principal: 'ann' });
  for (const run of runs) await step(steps.compactWindows, { ...view, principal: 'ann', run }).catch(ignoreMoved);
  return runs.length;
}
const ignoreMoved = (error: { code?: string }) => {
  if (error.code !== 'generation_moved') throw error;
};
async function collect(keep: string) {
  const artifacts = localObjects(`${lake.folder}/artifacts`);
  const trainers = { folder: '', cache: '', work: `${lake.folder}/work`, flightUrl: '', python: undefined };
  const steps = retentionActivities({
    db: database.db,
    lake: objects,
    artifacts,
    scratch: `${lake.folder}/none`,
    trainers,
  });
  const input: CollectGarbage = { project, keep, dryRun: false, principal: 'ann' };
  const marked = await step(steps.markGarbage, input);
  await step(steps.deleteGarbage, input);
  await step(steps.sweepOrphans, input);
  return marked;
}

const relationOf = ({ files }: PinnedTable) =>
  `read_parquet([${files.map(({ key }) => quoteText(objects.path(key))).join(', ')}])`;
const at = (snapshot: number) => tables(database.db).at(project, 'features', 'origin_hour', 1, snapshot);

test('G3: a reader that polls sum and count sees a committed snapshot every time', async () => {
  const expected = new Map<number, number>();
  const delays = new Map<number, number>();
  let done = false;
  const write = async (window: number, delay: number) => {
    delays.set(window, delay);
    const sum = [...delays.values()].reduce((total, one) => total + one * rowsAWindow, 0);
    expected.set(await commit(window, delay), sum);
  };
  for (let window = 1; window <= windows; window++) await write(window, window);
  const writer = (async () => {
    for (let round = 1; round <= 40; round++) {
      await write(1 + (round % windows), 100 + round);
      // Beside it another compaction is planned all the time, and mostly finds that its windows have moved.
      if (round % 8 === 0) await compact();
    }
  })().finally(() => (done = true));
  const upkeep = (async () => {
    while (!done) {
      await compact();
      await collect('0d');
    }
  })();
  const seen: { snapshot: number; count: number; sum: number; files: number }[] = [];
  while (!done) {
    const { snapshot } = await tables(database.db).resolve(project, 'features', 'origin_hour');
    const ref = { ...view, snapshot };
    // As Flight reads: what was promised is looked up again under the lease; a snapshot may be gone before it was promised.
    const lease = await leaseSnapshot(database.db, ref, 'stream', 60_000).catch(() => null);
    if (!lease) continue;
    const pinned = await at(snapshot);
    const [row] = await lake.query<{ count: number; sum: number }>(
      `SELECT count(*)::INTEGER AS count, sum(delay) AS sum FROM ${relationOf(pinned)}`,
    );
    seen.push({ snapshot, count: row?.count ?? 0, sum: row?.sum ?? 0, files: pinned.files.length });
    await lease.release();
  }
  await Promise.all([writer, upkeep]);
  for (const { snapshot, count, sum } of seen)
    expect([snapshot, count, sum]).toEqual([snapshot, windows * rowsAWindow, expected.get(snapshot)]);
  expect(new Set(seen.map(({ snapshot }) => snapshot)).size).toBeGreaterThan(5);
  // Readers met compacted files too.
  expect(Math.min(...seen.map(({ files }) => files))).toBeLessThan(windows);
  expect(seen.length).toBeGreaterThan(20);
}, 60_000);

test('G4: after a hundred later commits, compaction and garbage collection every old snapshot reads as it was written', async () => {
  for (let window = 1; window <= windows; window++) await commit(window, window);
  const hashes = new Map<number, { rowHash: string | null; content: string }>();
  const read = async (snapshot: number) => {
    const pinned = await at(snapshot);
    const { rowHash: content, rows } = await lake.in((session) => hashRows(session, relationOf(pinned), columns));
    expect(rows).toBe(pinned.rows);
    return { rowHash: pinned.rowHash, content };
  };
  for (let round = 1; round <= 100; round++) {
    const snapshot = await commit(1 + (round % windows), round * 3);
    hashes.set(snapshot, await read(snapshot));
    if (round % 25 === 0) await compact();
  }
  await collect('30d');
  for (const [snapshot, before] of hashes) expect(await read(snapshot)).toEqual(before);
  // Collected for real, what is pinned stays as it was, and the rest says that it is gone.
  const pinned = [windows + 10, windows + 50, windows + 77];
  await recordLineage(database.db, project, pinned.map((snapshot) => ({ from: ['snapshot', `features/origin_hour@r1@s${snapshot}`], to: ['run', 'r'] }))); // prettier-ignore
  const { snapshots } = await collect('0d');
  expect(snapshots.files).toBeGreaterThan(60);
  for (const [snapshot, before] of hashes)
    if (pinned.includes(snapshot) || snapshot === windows + 100) expect(await read(snapshot)).toEqual(before);
  await expect(at(windows + 30)).rejects.toMatchObject({ code: 'snapshot_collected' });
}, 60_000);
