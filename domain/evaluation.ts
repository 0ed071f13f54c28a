import type { MetricName } from './resources.js';

/**
 * How well predictions of a share met what happened, over rows whose label is known. docs/evaluation.md has the formulas.
 * A figure is null when the rows do not define it: all of them without rows, `auc` also when one class is missing.
 */
export interface Metrics extends Readonly<Record<MetricName, number | null>> {
  readonly rows: number;
  readonly positives: number;
  /** Chance that a random positive is ranked above a random negative; a tie counts half. */
  readonly auc: number | null;
  readonly log_loss: number | null;
  readonly brier: number | null;
  /** Mean prediction minus share of positives: above 0 the model promises too much. */
  readonly calibration_gap: number | null;
  /** Mean of the bins' absolute gaps, weighted by their rows: ten bins of equal width, each `(lower, upper]`, the first with 0. */
  readonly calibration_error: number | null;
}

export interface SliceMetrics {
  readonly column: string;
  /** The column's value as text; null is the slice of rows without one. */
  readonly value: string | null;
  readonly metrics: Metrics;
}

/** One bar of the reliability diagram, `(lower, upper]`; the means are null when no prediction fell in it. */
export interface CalibrationBin {
  readonly lower: number;
  readonly upper: number;
  readonly rows: number;
  readonly meanPrediction: number | null;
  readonly positiveShare: number | null;
}

export interface Evaluated {
  readonly overall: Metrics;
  /** By column in the order asked for, then most rows first, then by value. */
  readonly slices: readonly SliceMetrics[];
  readonly calibration: readonly CalibrationBin[];
}

export interface Verdict {
  readonly verdict: 'promote' | 'reject' | 'inconclusive';
  /** One plain sentence a bound, whether it held or not, with both figures. */
  readonly reasons: readonly string[];
}
