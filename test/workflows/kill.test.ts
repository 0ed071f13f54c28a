import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { runIdOf } from '../../domain/training.js';
import { until } from '../../programs/waiting.js';
import { listVersions } from '../../store/models.js';
import { ledger, tableState } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { getRun } from '../../store/training.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { hangingTrainer, untilGone } from '../support/hanging.js';
import { startWorkerProcess, type WorkerProcess } from '../support/worker.js';
import { withWorld, type World } from '../support/world.js';

/** `kill -9` of the worker process in the middle of its work: everything ends, once, as if nothing had happened. */

const days = 16;
const range = { start: dayOf(1), end: dayOf(days + 1) };
const windows = days * 24;
const [killed, undisturbed, training] = ['killed', 'undisturbed', 'training'] as ProjectName[] as [ProjectName, ProjectName, ProjectName]; // prettier-ignore
const table = (project: ProjectName) => ({ project, schema: 'features' as const, name: 'place_day', revision: 1 });
const runInput = { project: training, model: 'risk', revision: 1, asOf: dayOf(15), principal: 'ann' };

let world: World;
let worker: WorkerProcess;
beforeAll(async () => {
  world = await withWorld({ worker: false });
  const path = await world.write('events.parquet', eventsSql({ days }));
  for (const project of [killed, undisturbed]) await world.apply(eventResources({ path, window: '1h' }), project);
  await world.apply(eventResources({ path, endpoint: false, parameters: { hang_once: true } }), training);
  worker = await startWorkerProcess(world);
}, 120_000);
afterAll(async () => {
  await worker.kill();
  await world.close();
});

const materialize = (project: ProjectName) =>
  world.start('materializeView', workflowIds.materialize(project, 'place_day', 1, range.start, range.end), {
    ...{ project, view: 'place_day', revision: 1, principal: 'ann' },
    ...range,
  });
const committed = async (project: ProjectName) => (await tableState(world.db, table(project))).windows;

test('a worker that is killed between commits and in the middle of a fit loses nothing and does nothing twice', async () => {
  await (await materialize(training)).result();
  const train = await world.start('trainModel', workflowIds.train(training, 'risk', 1, runInput.asOf), {
    ...{ ...runInput, trigger: { kind: 'manual' as const } },
  });
  const features = await materialize(killed);
  const trainer = await hangingTrainer(world, runIdOf(runInput));
  expect(trainer).toHaveLength(2);
  for (const windowsBefore of [20, 150]) {
    expect(await until(async () => (await committed(killed)) >= windowsBefore, 60_000, { everyMs: 5 })).toBe(true);
    await worker.kill();
    const left = await committed(killed);
    expect(left).toBeLessThan(windows);
    // Between the kills nobody commits, and a reader sees a whole snapshot.
    expect((await tables(world.db).resolve(killed, 'features', 'place_day')).files).toHaveLength(left);
    // The guard ends the trainer and its stubborn child, although nobody could tell it to.
    await untilGone(trainer);
    worker = await startWorkerProcess(world);
  }
  expect(await features.result()).toMatchObject({ windows, snapshot: windows });
  const done = (await train.result()) as { run: string; version: number };

  const rows = await ledger(world.db, table(killed), { all: true });
  expect(rows.map(({ snapshot }) => snapshot)).toEqual(Array.from({ length: windows }, (_, at) => at + 1));
  expect(new Set(rows.map(({ start }) => start)).size).toBe(windows);
  await expectWholeFiles();
  await (await materialize(undisturbed)).result();
  const [one, other] = await Promise.all([killed, undisturbed].map((project) => tables(world.db).resolve(project, 'features', 'place_day'))); // prettier-ignore
  expect(one?.rowHash).toBe(other?.rowHash);

  const run = await getRun(world.db, training, runIdOf(runInput));
  expect(done).toMatchObject({ run: run.id, version: 1 });
  expect(run).toMatchObject({ status: 'finished', error: null });
  expect(run.fence).toBeGreaterThan(1);
  expect(await listVersions(world.db, training)).toHaveLength(1);
}, 180_000);

/** Every file that the ledger names is there, with the bytes that were committed. */
async function expectWholeFiles(): Promise<void> {
  const files = await world.db.query<{ key: string; sha256: string }>('SELECT key, sha256 FROM files');
  expect(files.length).toBeGreaterThanOrEqual(windows);
  for (const { key, sha256 } of files)
    expect(
      createHash('sha256')
        .update(await readFile(world.lake.path(key)))
        .digest('hex'),
    ).toBe(sha256);
}

test('a worker that is asked to end drains and exits 0', async () => {
  expect(await worker.stop()).toBe(0);
});
