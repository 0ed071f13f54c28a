import type { RunId } from '../../domain/ids.js';
import { sha256 } from '../../domain/json.js';
import { anonymous } from '../../domain/principal.js';
import { runIdOf } from '../../domain/training.js';
import { findTrainingSet, listTrainingSets, recordTrainingSet } from '../../store/datasets.js';
import type { Database } from '../../store/db.js';
import { findEvaluation, recordEvaluation, type Evaluation } from '../../store/evaluation.js';
import {
  claimRun,
  endRun,
  findRunOfWorkflow,
  getRun,
  listRuns,
  openRun,
  recordProgress,
  recordRunLog,
  recordRunTrainingSet,
  recordTrained,
} from '../../store/training.js';
import { withDatabase } from '../support/database.js';
import { race } from '../support/race.js';
import { day, project, runKey, startedRun, trained, trainingSetManifest } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

/** A run with a training set, and the fence of its first attempt. */
async function fitting(asOf = day(1)) {
  const { run, fence } = await startedRun(db, asOf);
  const name = `set_${asOf.slice(8, 10)}`;
  await recordTrainingSet(db, project, trainingSetManifest(name, asOf), null, anonymous);
  await recordRunTrainingSet(db, project, run.id, name);
  return { id: run.id, fence };
}
const finish = (id: RunId, fence: number, content?: string) =>
  recordTrained(db, project, id, fence, trained(content), anonymous);

test('a run is one for its project, model, revision and as-of instant, however often it is opened', async () => {
  const { values } = await race(8, () => openRun(db, runKey(), { kind: 'manual' }, 'w', anonymous));
  expect(new Set(values.map(({ id }) => id))).toEqual(new Set([runIdOf(runKey())]));
  expect((await startedRun(db, day(2))).run.id).not.toBe(values[0]?.id);
  expect(await listRuns(db, project, { limit: 10 })).toHaveLength(2);
});

test('an unknown run is refused', async () => {
  await expect(getRun(db, project, 'f'.repeat(32) as RunId)).rejects.toMatchObject({ code: 'run_unknown' });
  expect(await findRunOfWorkflow(db, project, 'train/nothing')).toBeNull();
});

test('the newest attempt writes the result, an older one is refused', async () => {
  const { id, fence } = await fitting();
  const newer = await claimRun(db, project, id);
  expect(newer).toBe(fence + 1);
  await expect(finish(id, fence, 'old')).rejects.toMatchObject({ code: 'fence_superseded' });
  await finish(id, newer, 'new');
  expect(await getRun(db, project, id)).toMatchObject({ status: 'finished', modelSha256: sha256('new') });
});

test('a run has one result: the same attempt cannot write a second', async () => {
  const { id, fence } = await fitting();
  const { codes, values } = await race(4, (at) => finish(id, fence, `model-${at}`));
  expect(values).toHaveLength(1);
  expect(codes).toEqual(Array.from({ length: 3 }, () => 'fence_superseded'));
});

test('eight who claim a run get eight numbers', async () => {
  const { id } = await fitting();
  const { values } = await race(8, () => claimRun(db, project, id));
  expect(new Set(values).size).toBe(8);
});

test.each(['failed', 'cancelled'] as const)(
  'a run that has %s takes no late result, until it is asked for again',
  async (status) => {
    const { id, fence } = await fitting();
    await endRun(db, project, id, status, { code: 'trainer_failed', detail: 'the trees are on fire' });
    await expect(finish(id, fence)).rejects.toMatchObject({ code: 'fence_superseded' });
    expect(await getRun(db, project, id)).toMatchObject({
      status,
      modelSha256: null,
      error: { code: 'trainer_failed' },
    });
    const again = await openRun(db, runKey(), { kind: 'manual' }, 'w', anonymous);
    expect(again).toMatchObject({ id, status: 'running', error: null, endedAt: null });
    await finish(id, await claimRun(db, project, id));
    expect((await getRun(db, project, id)).status).toBe('finished');
  },
);

test('a finished run stays finished, whoever ends or opens it', async () => {
  const { id, fence } = await fitting();
  await finish(id, fence);
  await endRun(db, project, id, 'failed', { code: 'internal', detail: 'late' });
  const again = await openRun(db, runKey(), { kind: 'manual' }, 'w', anonymous);
  expect(again).toMatchObject({ status: 'finished', error: null, modelSha256: sha256('model') });
  expect(again.endedAt).not.toBeNull();
});

test('progress and log are the newest attempt’s', async () => {
  const { id, fence } = await fitting();
  const newer = await claimRun(db, project, id);
  await recordProgress(db, project, id, newer, { step: 5, total: 10 });
  await recordProgress(db, project, id, fence, { step: 9, total: 10 });
  await recordRunLog(db, project, id, newer, 'newer.log');
  await recordRunLog(db, project, id, fence, 'older.log');
  expect(await getRun(db, project, id)).toMatchObject({ progress: { step: 5, total: 10 }, logKey: 'newer.log' });
});

test('runs are listed in data time, page by page', async () => {
  for (const number of [3, 1, 2]) await startedRun(db, day(number));
  const first = await listRuns(db, project, { model: 'lateness', limit: 2 });
  expect(first.map(({ asOf }) => asOf)).toEqual([day(1), day(2)]);
  const rest = await listRuns(db, project, { limit: 2, after: first[1]?.id });
  expect(rest.map(({ asOf }) => asOf)).toEqual([day(3)]);
  expect(await listRuns(db, project, { model: 'other', limit: 2 })).toEqual([]);
});

test('a training set comes back as it was recorded, and not a second time under its name', async () => {
  await recordTrainingSet(db, project, trainingSetManifest('one'), null, anonymous);
  expect(await findTrainingSet(db, project, 'one')).toEqual(trainingSetManifest('one'));
  expect(await findTrainingSet(db, project, 'two')).toBeNull();
  await expect(recordTrainingSet(db, project, trainingSetManifest('one'), null, anonymous)).rejects.toThrow(
    /duplicate key/,
  );
  expect(await listTrainingSets(db, project)).toHaveLength(1);
});

test('a run has one verdict: the first', async () => {
  const { id } = await fitting();
  const figures = { overall: { rows: 1, positives: 0, auc: null, log_loss: 0.5, brier: 0.1, calibration_gap: 0, calibration_error: 0 }, slices: [], calibration: [] }; // prettier-ignore
  const evaluation = (verdict: Evaluation['verdict']): Omit<Evaluation, 'createdAt'> => ({
    ...{ run: id, champion: null, candidateMetrics: figures, championMetrics: null },
    ...{ verdict, reasons: [verdict], inputsDigest: sha256('inputs') },
  });
  expect(await findEvaluation(db, project, id)).toBeNull();
  const { values } = await race(4, (at) => recordEvaluation(db, project, evaluation(at % 2 ? 'promote' : 'reject'), anonymous)); // prettier-ignore
  expect(new Set(values.map(({ verdict }) => verdict)).size).toBe(1);
  const later = await recordEvaluation(db, project, evaluation('inconclusive'), anonymous);
  expect(later).toEqual(values[0]);
  expect(await findEvaluation(db, project, id)).toEqual(values[0]);
});
