import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProjectName, RunId } from '../../domain/ids.js';
import type { Progress } from '../../domain/training.js';
import { checkTrainerOutput, loadTrainer, runTrainer, trainerParameters } from '../../programs/trainer.js';
import type { TrainerRun } from '../../programs/trainer.js';
import { until } from '../../programs/waiting.js';
import { livingOf, removeFolders, temporaryFolder } from './kin.js';

const trainersDir = join(import.meta.dirname, 'trainers');
const shippedDir = join(import.meta.dirname, '../../trainers');

afterEach(removeFolders);

async function run(name: string, more: Partial<TrainerRun> = {}) {
  return runTrainer({
    trainer: await loadTrainer(trainersDir, name),
    python: null,
    workDir: temporaryFolder(),
    flightUrl: 'grpc://127.0.0.1:1',
    trainingSet: { project: 'eider' as ProjectName, name: 'flights' },
    parameters: {},
    inputs: ['a', 'b'],
    label: 'late',
    split: 'split',
    key: ['flight_id'],
    seed: 1,
    runId: '0'.repeat(32) as RunId,
    timeoutMs: 20_000,
    ...more,
  });
}

test('a trainer that crashes fails with its exit code and its last lines', async () => {
  await expect(run('crash')).rejects.toMatchObject({
    code: 'trainer_failed',
    message: 'Trainer crash ended with exit code 1: Traceback: the trees are on fire',
    data: { exitCode: 1, lastLines: ['reading the training set', 'Traceback: the trees are on fire'] },
  });
});

test('a trainer that hangs, and its children, are gone when its time is over', async () => {
  const workDir = temporaryFolder();
  await expect(run('hang', { workDir, timeoutMs: 700 })).rejects.toMatchObject({ code: 'trainer_timeout' });
  const pids = readFileSync(join(workDir, 'output/pids'), 'utf8').trim().split(' ').map(Number);
  expect(await livingOf(pids)).toEqual([]);
});

test('a trainer that is cancelled is gone, and so are its children', async () => {
  const workDir = temporaryFolder();
  const stop = new AbortController();
  const onProgress = () => stop.abort();
  await expect(run('hang', { workDir, signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'cancelled' });
  const pids = readFileSync(join(workDir, 'output/pids'), 'utf8').trim().split(' ').map(Number);
  expect(await livingOf(pids)).toEqual([]);
});

test('a trainer that prints without end is stopped', async () => {
  await expect(run('garbage')).rejects.toMatchObject({ code: 'trainer_failed' });
});

test('lines that only look like progress are plain lines, and exit 0 without files is not success', async () => {
  const progress: Progress[] = [];
  const lines: string[] = [];
  const ended = run('babble', { onProgress: (one) => progress.push(one), onLine: (line) => lines.push(line) });
  await expect(ended).rejects.toMatchObject({ code: 'trainer_output_invalid', data: { file: 'model.onnx', reason: 'it is missing' } }); // prettier-ignore
  expect(progress).toEqual([{ step: 3, total: 4, metric: { log_loss: 0.5 } }]);
  expect(lines).toHaveLength(4);
});

test('exit 75 means try again', async () => {
  await expect(run('again')).rejects.toMatchObject({ code: 'trainer_try_again', row: { retry: true } });
});

test('a model that is not ONNX is named, with what is wrong', async () => {
  await expect(run('invalid_onnx')).rejects.toMatchObject({
    code: 'trainer_output_invalid',
    data: { file: 'model.onnx' },
  });
});

test('a trainer gets what the contract says', async () => {
  const lines: string[] = [];
  const parameters = { num_leaves: 7 };
  await expect(run('environment', { parameters, onLine: (line) => lines.push(line) })).rejects.toThrow();
  const [json] = lines.splice(-1);
  expect(lines.map((line) => line.split('=')[0])).toEqual(
    ['EIDER_FLIGHT_URL', 'EIDER_OUTPUT', 'EIDER_PARAMS', 'EIDER_RUN_ID', 'EIDER_SEED', 'EIDER_TRAINING_SET'],
  ); // prettier-ignore
  expect(lines).toContain('EIDER_TRAINING_SET={"project":"eider","name":"flights"}');
  const expected = { parameters, inputs: ['a', 'b'], label: 'late', split: 'split', key: ['flight_id'] };
  expect(JSON.parse(json!)).toEqual(expected);
});

test('a trainer gets the key and the authority of Flight where there are any', async () => {
  const lines: string[] = [];
  const flightAccess = { key: 'eider_key', authority: '/etc/ca.pem' };
  await expect(run('environment', { flightAccess, onLine: (line) => lines.push(line) })).rejects.toThrow();
  expect(lines).toEqual(expect.arrayContaining(['EIDER_FLIGHT_KEY=eider_key', 'EIDER_FLIGHT_CA=/etc/ca.pem']));
});

test('a second attempt ends the first one and removes what it left', async () => {
  const workDir = temporaryFolder();
  const first = expect(run('hang', { workDir })).rejects.toMatchObject({ code: 'trainer_failed' });
  const pidsFile = join(workDir, 'output/pids');
  expect(await until(() => existsSync(pidsFile) && readFileSync(pidsFile, 'utf8') !== '', 20_000)).toBe(true);
  const pids = readFileSync(pidsFile, 'utf8').trim().split(' ').map(Number);
  const living: Promise<number[]>[] = [];
  const second = run('crash', { workDir, onLine: () => void living.push(livingOf(pids)) });
  await expect(second).rejects.toMatchObject({ code: 'trainer_failed' });
  expect(await Promise.all(living)).toEqual([[], []]);
  expect(existsSync(pidsFile)).toBe(false);
  await first;
});

test('an unknown trainer is refused with the known names', async () => {
  const unknown = loadTrainer(shippedDir, '../trainers/lightgbm');
  await expect(unknown).rejects.toMatchObject({ code: 'trainer_unknown', data: { known: ['lightgbm'] } });
});

test('a trainer.yaml with a wrong field is refused with the field', async () => {
  await expect(loadTrainer(trainersDir, 'typo')).rejects.toMatchObject({
    code: 'resource_invalid',
    message: expect.stringContaining('comand') as string,
  });
});

test('parameters that are not given have the trainer’s defaults', async () => {
  const trainer = await loadTrainer(shippedDir, 'lightgbm');
  expect(trainerParameters(trainer, { num_leaves: 15 })).toMatchObject({
    num_boost_round: 100,
    num_leaves: 15,
    learning_rate: 0.1,
    min_data_in_leaf: 100,
  });
});

test.each([
  ['an unknown name', { leaves: 3 }, 'leaves of trainer lightgbm is not one of num_boost_round'],
  ['too small a number', { num_leaves: 1 }, 'must be an integer from 2 to 4096'],
  ['a fraction for an integer', { num_leaves: 2.5 }, 'must be an integer'],
  ['a text for a number', { learning_rate: 'fast' }, 'must be a number from 0.0001 to 1'],
  ['an infinite number', { learning_rate: Infinity }, 'must be a number'],
])('a parameter with %s is refused', async (_, given, reason) => {
  const trainer = await loadTrainer(shippedDir, 'lightgbm');
  expect(() => trainerParameters(trainer, given)).toThrow(reason);
});

test('a link in place of a file is refused', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'output'));
  writeFileSync(join(folder, 'secret'), 'secret');
  symlinkSync(join(folder, 'secret'), join(folder, 'output/model.onnx'));
  await expect(checkTrainerOutput(join(folder, 'output'), ['a'])).rejects.toMatchObject({
    code: 'trainer_output_invalid',
    data: { file: 'model.onnx', reason: 'it is not a plain file' },
  });
});
