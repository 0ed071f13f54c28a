import type { Instant, ProjectName } from './ids.js';
import type { Window } from './features.js';

/** Input of the workflow that makes an endpoint serve a version. */
export interface DeployVersion {
  readonly project: ProjectName;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  /** From when on in data time the version answers. */
  readonly asOf: Instant;
  readonly reason: string;
  readonly principal: string;
}

export interface Deployed {
  readonly rollout: string;
  readonly version: number;
  readonly generation: number;
  readonly instances: number;
}

/** Input of the workflow that predicts a window of the spine in batch. */
export interface ScoreWindow extends Window {
  readonly project: ProjectName;
  readonly endpoint: string;
  /** What the predictions are logged at: the slot's instant, never the wall clock. */
  readonly asOf: Instant;
  /** A window that has predictions keeps them, whichever version they are by: a monitor scores a window once. */
  readonly once?: boolean;
  readonly principal: string;
}

export interface Scored {
  readonly version: number;
  readonly rows: number;
  readonly snapshot: number;
  readonly rowHash: string;
}

/** Input of the workflow that commits what was asked and answered, online and in batch, as one table. */
export interface CommitLog extends Window {
  readonly project: ProjectName;
  readonly endpoint: string;
  readonly principal: string;
}

export interface CommittedLog {
  /** The table to read: `[project, "inference", table]` as a Flight path. */
  readonly table: string;
  readonly windows: number;
  readonly committed: number;
  readonly rows: number;
}

/** Where an endpoint's log lies, beside its batch predictions. */
export const logTable = (endpoint: string): string => `${endpoint}_log`;
