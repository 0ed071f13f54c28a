import { execFileSync } from 'node:child_process';
import type { Materialized } from '../../domain/features.js';
import { until } from '../../programs/waiting.js';
import { ledger, type TableRef } from '../../store/snapshots.js';
import { dayOf, eventResources } from '../support/events.js';
import { startWorkerProcess, type WorkerProcess } from '../support/worker.js';
import { withWorld, type World } from '../support/world.js';
import { readdir } from 'node:fs/promises';
import { defaultProject, workflowIds } from '../../domain/ids.js';

/**
 * A disk that takes no more: the worker may only write small files, which it learns as it would of a full disk, in the middle
 * of a write. Nothing half is visible, the step is tried again by itself, and goes on once there is room.
 */

const table: TableRef = { project: defaultProject, schema: 'features', name: 'place_day', revision: 1 };
const range = { start: dayOf(1), end: dayOf(4) };
const smallBytes = 40_000;

let world: World;
let worker: WorkerProcess;
beforeAll(async () => {
  world = await withWorld({ worker: false });
  // The first day has few rows, the others more than fit.
  const path = await world.write(
    'events.parquet',
    `SELECT TIMESTAMP '2001-01-01' + to_microseconds(i * 8640000) AS "at", 'place-' || hash(i) AS place, 0.5 AS a, 0.5 AS b, hash(i) / 3 AS amount, true AS happened FROM range(30000) t(i) WHERE i > 9990`,
  );
  const viewSql = 'SELECT place, "at" AS event_time, amount AS mean, id AS events FROM events';
  await world.apply(eventResources({ path, viewSql }));
  worker = await startWorkerProcess(world);
}, 120_000);
afterAll(async () => {
  await worker.kill();
  await world.close();
});

/** The soft limit: writing beyond it fails with EFBIG, as writing to a full disk does with ENOSPC. */
const limitFiles = (limit: string) => execFileSync('prlimit', ['--pid', String(worker.pid), `--fsize=${limit}`]);
const lakeFiles = async () => {
  const names = await readdir(world.lake.root, { recursive: true, withFileTypes: true });
  return names.filter((entry) => entry.isFile()).map(({ name }) => name);
};

test('a write that fails is tried again until there is room, and what is whole until then is all that is seen', async () => {
  limitFiles(`${smallBytes}:unlimited`);
  const handle = await world.start(
    'materializeView',
    workflowIds.materialize(defaultProject, 'place_day', 1, range.start, range.end),
    { project: defaultProject, view: 'place_day', revision: 1, ...range, principal: 'ann' },
  );
  const lastFailure = async () => {
    const { raw } = await handle.describe();
    const [pending] = raw.pendingActivities ?? [];
    return { attempt: pending?.attempt ?? 0, type: pending?.lastFailure?.applicationFailureInfo?.type, message: pending?.lastFailure?.message }; // prettier-ignore
  };
  expect(await until(async () => (await lastFailure()).attempt > 2, 60_000)).toBe(true);
  const failure = await lastFailure();
  expect(failure).toMatchObject({ type: 'lake_write_failed', message: expect.stringMatching(/write/i) });
  const rows = await ledger(world.db, table, { all: true });
  expect(rows.map(({ start }) => start)).toEqual([dayOf(1)]);
  expect(await lakeFiles()).toHaveLength(rows.length);
  limitFiles('unlimited:unlimited');
  expect((await handle.result()) as Materialized).toMatchObject({ windows: 3, snapshot: 3 });
  expect((await ledger(world.db, table)).map((row) => row.rows)).toEqual([9, 10_000, 10_000]);
  expect(await lakeFiles()).toHaveLength(3);
}, 120_000);
