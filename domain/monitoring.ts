import type { Bound } from './decide/bounds.js';
import type { Metrics } from './evaluation.js';
import type { Window } from './features.js';
import type { Instant, ProjectName } from './ids.js';
import type { MetricName } from './resources.js';

/**
 * How often a column's values fell between the edges: whole counts, so profiles of parts add up to the profile of the
 * whole. Values are taken as float32, which is what a model sees.
 */
export interface ColumnProfile {
  readonly column: string;
  /** Finite, ascending, distinct. */
  readonly edges: readonly number[];
  /** One more than edges: `(-inf, e0]`, `(e0, e1]`, …, `(en, inf)`. */
  readonly counts: readonly number[];
  /** NULL and NaN. */
  readonly nulls: number;
  /** All rows: the counts and the nulls together. */
  readonly rows: number;
}

/** How far a column of a window lies from the reference. */
export interface ColumnDrift {
  readonly column: string;
  /** Null when one of the two sides has no rows. */
  readonly psi: number | null;
  /** Share of rows that are NULL or NaN; null when the window has no rows. */
  readonly nullShare: number | null;
  /** The PSI to expect of this many rows if nothing drifted. */
  readonly noise?: number | null;
}

/** What a tick saw of one window. What is absent was not looked at, and its tests give no finding. */
export interface Observed {
  readonly window: Window;
  /** The model version that scored the window. */
  readonly version: number;
  readonly drift?: readonly ColumnDrift[];
  readonly rows?: number;
  /** Present once the window's labels are known. */
  readonly metrics?: Metrics;
}

export type FindingTest = 'psi' | 'null_share' | 'row_count' | MetricName;

/** What one test saw of one subject in one window; there is at most one for each test and subject. */
export interface Finding {
  readonly test: FindingTest;
  /** The column for `psi` and `null_share`, `rows` for `row_count`, else the metric's name. */
  readonly subject: string;
  /** With its sign, also when the absolute value was compared. Null: could not be computed, so nothing was breached. */
  readonly value: number | null;
  /** The limit that was broken, else the first declared; null when the test only records. */
  readonly threshold: number | null;
  readonly breached: boolean;
  readonly details: FindingDetails;
}

export type FindingDetails = {
  readonly bounds: readonly Bound[];
  /** One sentence a bound, with value and limit. */
  readonly reasons: readonly string[];
  readonly noise?: number | null;
  readonly rows?: number;
  readonly positives?: number;
};

/** The findings of one window, as stored. */
export interface JudgedWindow {
  readonly window: Window;
  readonly findings: readonly Finding[];
}

/** A test of a subject that is, or was, breached, e.g. `{ test: 'psi', subject: 'distance' }`. */
export interface Breach {
  readonly test: FindingTest;
  readonly subject: string;
}

/** What is kept of an open alert to decide about it later. */
export interface AlertState {
  readonly reasons: readonly string[];
  /** What it was opened for: `breaches` of the judgement that opened it. */
  readonly breaches: readonly Breach[];
}

/** Whether the tests breach now, by the windows that the serving version scored. */
export interface AlertJudgement {
  readonly breached: boolean;
  readonly breaches: readonly Breach[];
  /** How many pairs of test and subject had a value in any window. */
  readonly judged: number;
  /** Breaches of the open alert of which no window tells anything. */
  readonly unjudged: readonly Breach[];
  /** A sentence for each breach; when there is none, what is now with those of the open alert. */
  readonly reasons: readonly string[];
}

/** How far the retraining that an alert started has come. */
export interface RemedyState {
  readonly verdict: 'promote' | 'reject' | 'inconclusive' | null;
  /** The verdict's reasons, or why there is no verdict. */
  readonly reasons: readonly string[];
  /** The version that was registered, if any. */
  readonly version: number | null;
  readonly rolledOut: boolean;
}

export interface Resolution {
  readonly resolved: boolean;
  /** Why it is resolved, or why it stays open. */
  readonly reason: string;
}

/** Input of one tick of a monitor. A scheduled tick takes `asOf` from the slot it was scheduled for. */
export interface MonitorTick {
  readonly project: ProjectName;
  readonly monitor: string;
  readonly asOf?: Instant;
  readonly principal: string;
}

/** What came of a tick. */
export interface MonitorTicked {
  readonly asOf: Instant;
  readonly version: number;
  readonly rows: number;
  readonly judged: readonly Instant[];
  readonly breached: boolean;
  readonly reasons: readonly string[];
  readonly alert: string | null;
  readonly retraining: string | null;
}
