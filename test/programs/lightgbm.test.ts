import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ProjectName, RunId } from '../../domain/ids.js';
import { sha256 } from '../../domain/json.js';
import { pythonEnvironment } from '../../programs/python.js';
import { checkTrainerOutput, loadTrainer, runTrainer, trainerParameters } from '../../programs/trainer.js';
import type { Trained, Trainer, TrainerRun } from '../../programs/trainer.js';
import { freePort } from './started.js';
import { removeFolders, temporaryFolder } from './kin.js';

const inputs = [
  'distance', 'hour', 'weekday', 'origin_hour__late_rate', 'origin_hour__departures', 'route_day__late_rate',
]; // prettier-ignore
const rows = 60_000;
let trainer: Trainer;
let python: string;
let port: number;
let server: ChildProcess | null = null;

/** With `batchesMax` it dies in the middle of a stream. */
async function startServer(batchesMax = -1): Promise<ChildProcess> {
  const args = ['-B', join(import.meta.dirname, 'flight_server.py'), String(port), String(rows), String(batchesMax)];
  const child = spawn(python, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

const train = (more: Partial<TrainerRun> = {}): Promise<Trained> =>
  runTrainer({
    trainer,
    python,
    workDir: temporaryFolder(),
    flightUrl: `grpc://127.0.0.1:${port}`,
    trainingSet: { project: 'eider' as ProjectName, name: 'flights' },
    parameters: trainerParameters(trainer, { num_boost_round: 40 }),
    inputs,
    label: 'late',
    split: 'split',
    key: ['flight_id'],
    seed: 1,
    runId: '0'.repeat(32) as RunId,
    timeoutMs: 120_000,
    ...more,
  });

beforeAll(async () => {
  trainer = await loadTrainer(join(import.meta.dirname, '../../trainers'), 'lightgbm');
  const cacheDir = process.env.EIDER_CACHE ?? join(homedir(), '.cache/eider');
  python = await pythonEnvironment({ cacheDir, lockFile: trainer.lockFile!, name: 'lightgbm' });
  port = await freePort();
}, 600_000);

afterAll(() => {
  server?.kill('SIGKILL');
  removeFolders();
});

let first: Trained;
const digests = ({ modelPath, goldenPath, metrics }: Trained) =>
  [sha256(readFileSync(modelPath)), sha256(readFileSync(goldenPath)), metrics]; // prettier-ignore

/** Starts training, and a server once the trainer has said that Flight does not answer. */
async function trainWhileFlightIsAway(): Promise<Trained> {
  const { promise: away, resolve: isAway } = withResolvers();
  const training = train({ onLine: (line) => line.startsWith('Flight does not answer') && isAway() });
  await Promise.race([away, training]);
  server = await startServer();
  return training;
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

test('a training that starts before Flight waits for it, and leaves all that the contract asks for', async () => {
  first = await trainWhileFlightIsAway();
  expect(first.metrics.rows).toEqual({ train: rows * 0.85, test: rows * 0.15 });
  expect(first.metrics.test.auc).toBeGreaterThan(0.65);
  expect(Object.keys(first.metrics.test).sort()).toEqual(['auc', 'brier', 'calibration_gap', 'log_loss']);
  expect(first.signature.inputs[0]).toMatchObject({ datatype: 'FP32', shape: [-1, 6], columns: inputs });
  expect(first.golden.inputs).toHaveLength(256);
  expect(first.golden.inputs.some((row) => row.includes(null))).toBe(true);
  expect(first.golden.predictions.every((value) => value > 0 && value < 1)).toBe(true);
  const log = readFileSync(first.logPath, 'utf8');
  expect(Number(/differ by at most ([\d.e-]+)/.exec(log)?.[1])).toBeLessThanOrEqual(1e-6);
}, 180_000);

test('the same input gives the same bytes, and progress ends at the last step', async () => {
  const steps: number[] = [];
  const second = await train({ onProgress: ({ step }) => steps.push(step), runId: '1'.repeat(32) as RunId });
  expect(digests(second)).toEqual(digests(first));
  expect(steps.length).toBeGreaterThan(5);
  expect(steps.at(-1)).toBe(40);
}, 180_000);

test('where chance has a say, the seed decides', async () => {
  const parameters = trainerParameters(trainer, { num_boost_round: 5, bagging_fraction: 0.5, bagging_freq: 1 });
  const [one, again, two] = [
    await train({ parameters }),
    await train({ parameters }),
    await train({ parameters, seed: 2 }),
  ];
  expect(digests(again)).toEqual(digests(one));
  expect(digests(two)[0]).not.toBe(digests(one)[0]);
}, 180_000);

test('a training survives Flight dying in the middle of the stream, with the same result', async () => {
  server?.kill('SIGKILL');
  await once(server!, 'exit');
  const dying = await startServer(3);
  expect(digests(await trainWhileFlightIsAway())).toEqual(digests(first));
  expect(dying.exitCode).toBe(9);
}, 180_000);

test('a training set that does not exist, or lacks a column, fails at once with the reason', async () => {
  const trainingSet = { project: 'eider' as ProjectName, name: 'trains' };
  await expect(train({ trainingSet })).rejects.toMatchObject({
    code: 'trainer_failed',
    message: expect.stringContaining('no table eider/datasets/trains') as string,
  });
  await expect(train({ inputs: ['distance', 'colour'] })).rejects.toMatchObject({
    code: 'trainer_failed',
    message: expect.stringContaining('no column "colour"') as string,
  });
}, 180_000);

test('a label that is not BOOLEAN is refused', async () => {
  await expect(train({ label: 'hour' })).rejects.toMatchObject({
    code: 'trainer_failed',
    message: expect.stringContaining('must be BOOLEAN') as string,
  });
}, 180_000);

const replaceIn = (file: string, from: string, to: string) => (folder: string) => {
  const path = join(folder, file);
  writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
  rmSync(join(folder, 'result.json'));
};
const cut = (file: string) => (folder: string) => {
  truncateSync(join(folder, file), 4_000);
  rmSync(join(folder, 'result.json'));
};

test.each([
  ['a missing file', 'metrics.json', (folder: string) => rmSync(join(folder, 'metrics.json')), 'it is missing'],
  ['an empty file', 'model.onnx', (folder: string) => truncateSync(join(folder, 'model.onnx')), 'it is empty'],
  ['a model cut short', 'model.onnx', cut('model.onnx'), 'it ends in the middle of a field'],
  ['golden rows cut short', 'golden.parquet', cut('golden.parquet'), ''],
  ['metrics that are not JSON', 'metrics.json', replaceIn('metrics.json', '{', '{{'), 'it is not JSON'],
  [
    'a metric that is no number',
    'metrics.json',
    replaceIn('metrics.json', '"auc": 0', '"auc": "x", "b": 0'),
    'test.auc',
  ],
  ['another number of rows', 'signature.json', replaceIn('signature.json', '-1,', '7,'), 'shape must be'],
  ['other columns', 'signature.json', replaceIn('signature.json', '"hour"', '"our"'), 'its columns are'],
  ['another output', 'model.onnx', replaceIn('signature.json', '"prediction"', '"risk"'), 'its outputs are'],
  [
    'a file that changed after it was listed',
    'metrics.json',
    (folder: string) => appendFileSync(join(folder, 'metrics.json'), ' '),
    'its SHA-256 is not',
  ],
])('output with %s is refused: %s is named', async (_, file, damage, reason) => {
  const folder = join(temporaryFolder(), 'output');
  cpSync(dirname(first.modelPath), folder, { recursive: true });
  damage(folder);
  await expect(checkTrainerOutput(folder, inputs)).rejects.toMatchObject({
    code: 'trainer_output_invalid',
    data: { file, reason: expect.stringContaining(reason) as string },
  });
});
