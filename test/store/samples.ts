import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { projectRoot } from '../../apps/config.js';
import type { StagedWindow } from '../../domain/features.js';
import { defaultProject, type Instant, type RunId } from '../../domain/ids.js';
import { instant, plusMicros } from '../../domain/instants.js';
import { sha256 } from '../../domain/json.js';
import { anonymous } from '../../domain/principal.js';
import { historyOf } from '../../domain/point-in-time.js';
import { Resource, type Revision } from '../../domain/resources.js';
import { trainingSetSpec, type RunKey, type TrainingSetManifest } from '../../domain/training.js';
import type { Database } from '../../store/db.js';
import { registerVersion, type ModelVersion } from '../../store/models.js';
import type { TableRef, WindowCommit } from '../../store/snapshots.js';
import { claimRun, openRun, type Run, type TrainedModel } from '../../store/training.js';

export const project = defaultProject;
export const dayMicros = 86_400_000_000;
export const day = (number: number): Instant => plusMicros(instant('2001-03-01'), (number - 1) * dayMicros);

/** The resources that people are shown: every kind, all references within. */
export const flights = (): Resource[] =>
  ['data', 'features', 'model', 'monitor']
    .map((name) => readFileSync(join(projectRoot, 'examples', 'flights', `${name}.yaml`), 'utf8'))
    .flatMap((text) => parseAllDocuments(text).map((document) => Resource.parse(document.toJS())));

export const resourceOf = (kind: string, name: string): Resource => {
  const found = flights().find((one) => one.kind === kind && one.name === name);
  if (!found) throw new Error(`There is no ${kind} ${name} among the examples.`);
  return found;
};

export const view: TableRef = { project, schema: 'features', name: 'origin_hour', revision: 1 };

/** What an attempt made of a day; `content` stands for its rows, `attempt` names its file. */
export function staged(number: number, content = 'a', attempt = 'first'): StagedWindow {
  return {
    start: day(number),
    end: day(number + 1),
    files: [{ key: `${number}/${content}-${attempt}.parquet`, rows: 10, bytes: 100, sha256: sha256(content) }],
    rows: 10,
    bytes: 100,
    rowHash: sha256(content),
    sourceFingerprint: `source-${content}`,
    durationMs: 1.5,
  };
}

export const commitOf = (window: StagedWindow, predecessor: number | null, table: TableRef = view): WindowCommit => ({
  table,
  columns: [{ name: 'origin', type: 'VARCHAR' }],
  window,
  predecessor,
  sourceVersion: 'version-1',
  workflowId: 'materialize',
  principal: anonymous,
});

export const runKey = (asOf = day(1)): RunKey => ({ project, model: 'lateness', revision: 1, asOf });
export const trained = (content = 'model'): TrainedModel => ({
  metrics: { test: { auc: 0.7 } },
  modelKey: `eider/models/${content}.onnx`,
  modelSha256: sha256(content),
  signature: {
    inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1], columns: ['distance'] }],
    outputs: [{ name: 'prediction', datatype: 'FP32', shape: [-1] }],
  },
  golden: { inputs: [[1], [null]], predictions: [0.5, 0.25] },
  logKey: 'eider/runs/log',
  trainer: { name: 'lightgbm' },
  durationMs: 12,
});

export async function startedRun(db: Database, asOf = day(1)): Promise<{ run: Run; fence: number }> {
  const run = await openRun(db, runKey(asOf), { kind: 'manual' }, `train/${asOf}`, anonymous);
  return { run, fence: await claimRun(db, project, run.id) };
}

export const candidateOf = (run: RunId, content = 'model'): Parameters<typeof registerVersion>[2] => ({
  model: 'lateness',
  run,
  digest: sha256(content),
  ...{ modelKey: trained(content).modelKey, signature: trained().signature, golden: trained().golden },
  lineage: { trainingSet: 'lateness_r1_20010305', rowHash: sha256('rows'), snapshots: ['features/origin_hour@r1@s3'] },
});

export async function registered(db: Database, asOf = day(1)): Promise<ModelVersion> {
  const { run } = await startedRun(db, asOf);
  return registerVersion(db, project, candidateOf(run.id, run.id), anonymous);
}

/** What is kept of a training set of the Model `lateness`. */
export function trainingSetManifest(name: string, asOf = day(5), bitemporal = false): TrainingSetManifest {
  const model = { ...resourceOf('Model', 'lateness'), revision: 1 } as unknown as Revision<'Model'>;
  const spec = { ...trainingSetSpec(model, asOf), name: name as never };
  const view = { name: 'origin_hour', view: 'origin_hour', revision: 1, snapshot: 4, sequence: null };
  return {
    ...{ name, spec, specHash: sha256(name), model: 'lateness', modelRevision: 1, asOf },
    ...{ window: { start: day(1), end: asOf }, cuts: [{ name: 'test', from: day(4) }] },
    ...{ sources: [{ name: 'flights', revision: 1, version: 'v' }], tables: [], labels: null, relabels: null },
    views: [{ ...view, rowHash: sha256('view'), ...historyOf(bitemporal, 'known_at') }],
    ...{ columns: [{ name: 'late', type: 'BOOLEAN' }], inputs: ['distance'], label: 'late', key: ['flight_id'] },
    ...{ rows: { train: 7, test: 3 }, positives: { train: 2, test: 1 }, statistics: [], engine: 'duckdb' },
    ...{ rowHash: sha256('rows'), spineHash: sha256('spine'), sha256: sha256('file') },
  };
}
