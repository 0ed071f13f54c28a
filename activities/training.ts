import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { asDomainError, isDomainError } from '../domain/errors.js';
import type { ProjectName, RunId } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import type { Revision } from '../domain/resources.js';
import { splitColumn } from '../domain/splits.js';
import { isTrainingSet, runIdOf, type RunKey, type TrainModel, type TrainingSetManifest } from '../domain/training.js';
import { fileSha256 } from '../lake/objects.js';
import { checkGolden } from '../models/golden.js';
import { pythonEnvironment } from '../programs/python.js';
import { loadTrainer, runTrainer, trainerParameters, type Trained, type Trainer } from '../programs/trainer.js';
import { findTrainingSet } from '../store/datasets.js';
import { registerVersion } from '../store/models.js';
import { getResource } from '../store/resources.js';
import {
  claimRun,
  endRun,
  getRun,
  openRun,
  recordProgress,
  recordRunLog,
  recordRunTrainingSet,
  recordTrained,
  type Run,
} from '../store/training.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';

export type TrainingDependencies = Pick<Dependencies, 'db' | 'artifacts' | 'models' | 'trainers'>;

interface RunEnd {
  readonly status: 'failed' | 'cancelled';
  readonly code: string;
  readonly detail: string;
}

interface Fit {
  readonly project: ProjectName;
  readonly run: RunId;
  readonly principal: string;
}

/** Wide enough for other CPUs and runtimes; a rollout holds instances to the endpoint's own tolerance. */
const goldenTolerance = 1e-5;

export const trainingActivities = (dependencies: TrainingDependencies) => ({
  /** The run of this model, revision and as-of instant; asking again returns it. */
  async openRun(input: TrainModel): Promise<{ run: RunId }> {
    const { id } = await openRun(dependencies.db, input, input.trigger, currentWorkflowId(), { name: input.principal });
    return { run: id };
  },

  attachTrainingSet: ({
    project,
    run,
    trainingSet,
  }: {
    project: ProjectName;
    run: RunId;
    trainingSet: string;
  }): Promise<void> => recordRunTrainingSet(dependencies.db, project, run, trainingSet),

  /** Fits once per run: a repeat ends what is left of the last attempt, or returns the result recorded for the run. */
  fit: (input: Fit): Promise<{ digest: string }> => beating((signal, beat) => fit(dependencies, input, signal, beat)),

  /** One version a run: a repeat returns it. */
  async registerVersion({ project, run: id, principal }: Fit): Promise<{ version: number }> {
    const { db } = dependencies;
    const run = await getRun(db, project, id);
    const set = await manifestOf(dependencies, run);
    const { version } = await registerVersion(
      db,
      project,
      {
        model: run.model,
        run: id,
        digest: recorded(run.modelSha256),
        modelKey: recorded(run.modelKey),
        signature: recorded(run.signature),
        golden: recorded(run.golden),
        lineage: {
          trainingSet: set.name,
          rowHash: set.rowHash,
          snapshots: set.views.map((view) => `features/${view.view}@r${view.revision}@s${view.snapshot}`),
        },
      },
      { name: principal },
    );
    return { version };
  },

  /** Notes how the run of this key ended, if it was opened and did not finish; a finished one stays as it is. */
  async endRun({ status, code, detail, ...key }: RunKey & RunEnd): Promise<void> {
    await endRun(dependencies.db, key.project, runIdOf(key), status, { code, detail });
  },
});

async function fit(
  dependencies: TrainingDependencies,
  { project, run: id, principal }: Fit,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<{ digest: string }> {
  const { db, artifacts, models, trainers } = dependencies;
  const run = await getRun(db, project, id);
  if (run.modelSha256 !== null) return { digest: run.modelSha256 };
  const fence = await claimRun(db, project, id);
  const model = await getResource(db, project, 'Model', run.model, run.revision);
  const set = await manifestOf(dependencies, run);
  const trainer = await loadTrainer(trainers.folder, model.spec.trainer.name);
  // An attempt that was given up may still be ending: each has a folder of its own.
  const workDir = join(trainers.work, id, String(fence));
  const trained = await train(dependencies, { run, model, set, trainer, workDir, fence }, signal, beat).catch(
    async (error: unknown) => {
      // What a failed attempt printed is what a person asks for first.
      await keepLog(dependencies, project, id, fence, workDir).catch(() => undefined);
      throw error;
    },
  );
  const digest = await fileSha256(trained.modelPath);
  const modelKey = `${project}/models/${digest}.onnx`;
  await artifacts.adopt(modelKey, trained.modelPath);
  const loaded = await models.load(artifacts.path(modelKey), digest, trained.signature);
  await checkGolden(models, loaded, { ...trained.golden, tolerance: goldenTolerance }).finally(() =>
    models.unload(loaded),
  );
  const logKey = await keepLog(dependencies, project, id, fence, workDir);
  const about = {
    name: trainer.name,
    deterministic: trainer.deterministic,
    parameters: trainerParameters(trainer, model.spec.trainer.parameters),
    seed: model.spec.trainer.seed,
  };
  const { metrics, signature, golden, durationMs } = trained;
  await recordTrained(
    db,
    project,
    id,
    fence,
    { metrics, modelKey, modelSha256: digest, signature, golden, logKey, trainer: about, durationMs },
    { name: principal },
  );
  await rm(join(trainers.work, id), { recursive: true, force: true });
  return { digest };
}

interface Attempt {
  readonly run: Run;
  readonly model: Revision<'Model'>;
  readonly set: TrainingSetManifest;
  readonly trainer: Trainer;
  readonly workDir: string;
  readonly fence: number;
}

async function train(
  { db, trainers }: TrainingDependencies,
  attempt: Attempt,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<Trained> {
  const { run, model, set, trainer, workDir, fence } = attempt;
  const { parameters, seed, timeout } = model.spec.trainer;
  const say = (text: string) => beat({ preparing: text });
  const python =
    trainer.lockFile === null
      ? null
      : await pythonEnvironment({
          cacheDir: trainers.cache,
          lockFile: trainer.lockFile,
          name: trainer.name,
          python: trainers.python ?? null,
          signal,
          onProgress: say,
        });
  return runTrainer({
    ...{ trainer, python, workDir, flightUrl: trainers.flightUrl, flightAccess: trainers.flightAccess, seed, signal },
    trainingSet: { project: run.project, name: set.name },
    parameters: trainerParameters(trainer, parameters),
    ...{ inputs: set.inputs, label: set.label, split: splitColumn, key: set.key },
    runId: run.id,
    timeoutMs: durationMicros(timeout) / 1000,
    onProgress: (progress) => {
      beat(progress);
      // Progress is for people: losing one line of it harms nothing.
      recordProgress(db, run.project, run.id, fence, progress).catch(() => undefined);
    },
  });
}

async function keepLog(
  { artifacts, db }: TrainingDependencies,
  project: ProjectName,
  run: RunId,
  fence: number,
  workDir: string,
): Promise<string> {
  const key = `${project}/runs/${run}/trainer-${fence}.log`;
  try {
    await artifacts.adopt(key, join(workDir, 'trainer.log'));
  } catch (error) {
    // An attempt that ended before the trainer began has no log.
    if (isDomainError(error) && error.code === 'lake_write_failed') return key;
    throw asDomainError(error);
  }
  await recordRunLog(db, project, run, fence, key);
  return key;
}

async function manifestOf({ db }: Pick<TrainingDependencies, 'db'>, run: Run): Promise<TrainingSetManifest> {
  const set = await findTrainingSet(db, run.project, recorded(run.trainingSet));
  return recorded(set && isTrainingSet(set) ? set : null);
}

/** What an earlier step of the workflow must have recorded. */
function recorded<Value>(value: Value | null): Value {
  if (value === null) throw asDomainError(new Error('An earlier step of this run is not recorded.'));
  return value;
}
