import type { BuiltDataset, DatasetManifest, DatasetSpec } from './datasets.js';
import type { Instant, ProjectName, ResourceName, RunId } from './ids.js';
import { durationMicros, plusMicros } from './instants.js';
import { digestOf } from './json.js';
import type { Revision } from './resources.js';
import { heldOutPart } from './splits.js';

/** Why a run was started. */
export interface Trigger {
  readonly kind: 'manual' | 'alert';
  readonly monitor?: string;
  readonly alert?: string;
}

/** What makes a run the same run: asking twice gives the recorded one. */
export interface RunKey {
  readonly project: ProjectName;
  readonly model: string;
  readonly revision: number;
  readonly asOf: Instant;
}

export const runIdOf = ({ project, model, revision, asOf }: RunKey): RunId =>
  digestOf({ what: 'run', project, model, revision, asOf }).slice(0, 32) as RunId;

/** Datasets are named by what they hold: `lateness_r1_20010305`, with the time of day when it is not midnight. */
export function trainingSetName({ model, revision, asOf }: Omit<RunKey, 'project'>): string {
  const digits = asOf.replace(/[-T:.Z]/g, '');
  return `${model}_r${revision}_${digits.replace(/0{12}$/, '')}`;
}

/** The training set of a Model: its label is one that is there, and it says what the model sees. */
export type TrainingSetManifest = DatasetManifest & {
  readonly model: string;
  readonly modelRevision: number;
  readonly asOf: Instant;
  readonly label: string;
};

export const isTrainingSet = (manifest: DatasetManifest): manifest is TrainingSetManifest =>
  manifest.model !== null && manifest.label !== null;

/** What a Model's training set as of an instant is to hold, said as anybody would ask for one. */
export function trainingSetSpec({ name: model, revision, spec }: Revision<'Model'>, asOf: Instant): DatasetSpec {
  const { spine, inputs, joins, history, holdout, split } = spec;
  return {
    name: trainingSetName({ model, revision, asOf }) as ResourceName,
    spine: { from: 'sql', sources: [spine.source], sql: spine.sql },
    eventTime: spine.eventTime,
    key: spine.key,
    window: { start: plusMicros(asOf, -durationMicros(history)), end: asOf },
    order: 'time',
    features: inputs.filter((input) => input.includes(':')),
    ...{ joins, naming: 'full', mode: 'known_at', asOf },
    split: split ?? { by: 'time', parts: [{ name: heldOutPart, from: holdout ?? '0s' }] },
    label: {
      ...{ column: spine.label, knownAt: spine.knownAt, type: 'BOOLEAN', unknown: 'drop' },
      uploads: { model: model as ResourceName },
    },
  };
}

export type RunStatus = 'running' | 'finished' | 'failed' | 'cancelled';

/** What a trainer says between start and end. */
export interface Progress {
  readonly step: number;
  readonly total: number;
  readonly metric?: Readonly<Record<string, number>>;
}

export interface BuildTrainingSet extends RunKey {
  readonly principal: string;
}

export type BuiltTrainingSet = BuiltDataset;

/** Input of the workflow that carries one model from training set to rollout. */
export interface TrainModel extends RunKey {
  readonly trigger: Trigger;
  readonly principal: string;
}

export interface TrainedModelSummary {
  readonly run: RunId;
  readonly trainingSet: string;
  readonly verdict: 'promote' | 'reject' | 'inconclusive';
  readonly reasons: readonly string[];
  readonly version: number;
  /** The workflow that rolls the version out, when it was promoted and the model names an endpoint. */
  readonly rollout: string | null;
}

export interface EvaluateRun {
  readonly project: ProjectName;
  readonly run: RunId;
  readonly model: string;
  readonly principal: string;
}

export interface EvaluatedRun {
  readonly verdict: 'promote' | 'reject' | 'inconclusive';
  readonly reasons: readonly string[];
  /** Where the model says that a promoted version is rolled out. */
  readonly endpoint: string | null;
}
