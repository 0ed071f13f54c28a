import type { ControlState } from './control.js';
import type { Instant, ProjectName } from './ids.js';
import { fromMicros, toMicros } from './instants.js';

/** One half-open slice `[start, end)` of event time: a row stamped at `end` belongs to the next window. */
export interface Window {
  readonly start: Instant;
  readonly end: Instant;
}

/** The slices of a size that a range touches: they lie on multiples of the size since 1970. */
export function windowsIn(range: Window, sizeMicros: number): Window[] {
  const first = Math.floor(toMicros(range.start) / sizeMicros);
  const count = Math.max(0, Math.ceil(toMicros(range.end) / sizeMicros) - first);
  const edge = (at: number) => fromMicros((first + at) * sizeMicros);
  return Array.from({ length: count }, (_, at) => ({ start: edge(at), end: edge(at + 1) }));
}

export interface StagedFile {
  /** Relative to the lake's root; no attempt shares it. */
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** A window has a head of its own for what its sources give and one for what was pushed. */
export type Lane = 'sources' | 'pushes';

/** What one attempt made for a window and wants committed. */
export interface StagedWindow extends Window {
  readonly files: readonly StagedFile[];
  readonly rows: number;
  readonly bytes: number;
  /** Equality of content: independent of row order and of how the rows lie in files. */
  readonly rowHash: string;
  readonly sourceFingerprint: string;
  readonly durationMs: number;
}

/** A window that must be computed, and the head it was planned on. */
export interface PlannedWindow extends Window {
  readonly sourceFingerprint: string;
  readonly predecessor: number | null;
}

export interface LedgerRow extends Window {
  readonly commit: number;
  readonly snapshot: number;
  readonly rows: number;
  readonly bytes: number;
  readonly rowHash: string;
  readonly sourceFingerprint: string;
  readonly durationMs: number;
  readonly committedAt: string;
  readonly workflowId: string;
  readonly lane: Lane;
}

export interface Column {
  readonly name: string;
  /** DuckDB’s name of the type. */
  readonly type: string;
}

/** A window that was computed but not committed, because of expectations that block it. */
export interface RefusedWindow extends Window {
  readonly reasons: readonly string[];
}

/** Input of the workflow that brings a view's windows up to date with their sources. */
export interface MaterializeView extends Window {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
  readonly principal: string;
  /** Batches at once; default 2. */
  readonly parallel?: number;
  /** False: whoever started it publishes. Default: a view that is to be online by itself is published when it has ended. */
  readonly publish?: boolean;
  /** What the run before handed on: a long range is worked on by several, one after the other. */
  readonly carried?: Carried;
}

export interface Carried {
  readonly from: Instant;
  readonly tally: Tally;
  readonly control: ControlState;
}

/** What a materialization has done so far, over all its runs. */
export interface Tally {
  /** Windows of the range that need nothing any more. */
  readonly settled: number;
  readonly found: Found;
  readonly committed: number;
  readonly rows: number;
  readonly bytes: number;
  readonly quarantined: number;
  readonly refused: number;
  /** The first of those refused. */
  readonly refusals: readonly RefusedWindow[];
  /** For how long windows were computed. */
  readonly workedMs: number;
}

export interface ReadQuarantine {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
  readonly start?: Instant;
  readonly end?: Instant;
  readonly limit: number;
}

export interface QuarantinedRows {
  /** The view’s columns, and the reasons. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly total: number;
}

/** What a plan found out about windows. */
export interface Found {
  readonly fresh: number;
  readonly changed: number;
  /** Their rows are the same as when they were committed, though a source changed. */
  readonly current: number;
  /** No source changed since. */
  readonly untouched: number;
}

export interface Materialized {
  readonly windows: number;
  readonly committed: number;
  readonly unchanged: number;
  readonly rows: number;
  readonly bytes: number;
  /** Rows that were kept aside. */
  readonly quarantined: number;
  /** Of the table after this work; 0 while it has none. */
  readonly snapshot: number;
  /** Why so many, or so few, windows were computed. */
  readonly reason: string;
}

/** Answer of the query `progress` while a workflow runs, and of SSE. */
export interface StageProgress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly detail: string;
  readonly pace?: Pace;
  /** Of work that operators may pause: who did, and why. */
  readonly control?: ControlState;
}

/** How fast the work goes. */
export interface Pace {
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** Null while nothing was done that it could be told from. */
  readonly remainingSeconds: number | null;
}
