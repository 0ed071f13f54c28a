import type { Column, Window } from './features.js';
import type { Instant, ProjectName, RunId } from './ids.js';
import { digestOf } from './json.js';
import type { PinnedView } from './point-in-time.js';

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

/** Everything that is needed to make the same training set again, and to tell whether it is the same. */
export interface TrainingSetManifest {
  readonly name: string;
  readonly model: string;
  readonly modelRevision: number;
  readonly asOf: Instant;
  readonly window: Window;
  /** Rows at or after this instant are the held-out part, `split` = 'test'. */
  readonly holdoutStart: Instant;
  readonly source: { readonly name: string; readonly revision: number; readonly version: string };
  readonly views: readonly PinnedView[];
  readonly columns: readonly Column[];
  readonly inputs: readonly string[];
  readonly label: string;
  readonly key: readonly string[];
  readonly rows: { readonly train: number; readonly test: number };
  readonly positives: { readonly train: number; readonly test: number };
  readonly rowHash: string;
  readonly engine: string;
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

export interface BuiltTrainingSet {
  readonly name: string;
  readonly rowHash: string;
  readonly rows: number;
}

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
