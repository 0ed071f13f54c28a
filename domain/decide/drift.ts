import { DomainError } from '../errors.js';
import type { ColumnDrift, ColumnProfile } from '../monitoring.js';

/**
 * Population stability index of two lists of whole counts over the same bins, Σ (c − r)·ln(c / r) of the bins' shares.
 * Never negative, 0 only for equal shares, the same both ways round. Null when a side has no rows.
 *
 * Zero handling: a bin that is empty on one side only counts there as half a row, because ln 0 has no value and half a
 * row says that it is rarer than could be seen in so many rows. A bin that is empty on both sides is left out.
 */
export function psi(reference: readonly number[], current: readonly number[]): number | null {
  if (reference.length !== current.length)
    throw new DomainError('internal', 'PSI compares counts over the same bins.', {
      reference: reference.length,
      current: current.length,
    });
  const [referenceRows, currentRows] = [sum(reference), sum(current)];
  if (referenceRows === 0 || currentRows === 0) return null;
  return sum(
    reference.map((count, bin) => {
      const other = current[bin] ?? 0;
      if (count === 0 && other === 0) return 0;
      return term((count || 0.5) / referenceRows, (other || 0.5) / currentRows);
    }),
  );
}

/** (c − r)·ln(c / r), written so that it is the same both ways round to the last bit and never below 0. */
function term(one: number, other: number): number {
  const [less, more] = one < other ? [one, other] : [other, one];
  return (more - less) * Math.log1p((more - less) / less);
}

/**
 * The PSI to expect when nothing drifted, only by chance: (bins − 1)·(1/n + 1/m), for n reference and m current rows.
 * A figure to show beside the PSI: a PSI below or near it says nothing. Null when a side has no rows.
 */
export const psiNoise = (bins: number, n: number, m: number): number | null =>
  n === 0 || m === 0 ? null : Math.max(bins - 1, 0) * (1 / n + 1 / m);

/** Each column of the reference against the same of the current profiles; NULL and NaN are a bin of their own. */
export function driftOf(reference: readonly ColumnProfile[], current: readonly ColumnProfile[]): ColumnDrift[] {
  return reference.map((before) => {
    const after = current.find(({ column }) => column === before.column);
    if (!after)
      throw new DomainError('internal', `There is no current profile of ${before.column}.`, { column: before.column });
    assertSameEdges(before, after);
    const [expected, actual] = [
      [...before.counts, before.nulls],
      [...after.counts, after.nulls],
    ];
    const bins = expected.filter((count, bin) => count > 0 || (actual[bin] ?? 0) > 0).length;
    return {
      column: before.column,
      psi: psi(expected, actual),
      nullShare: after.rows === 0 ? null : after.nulls / after.rows,
      noise: psiNoise(bins, before.rows, after.rows),
    };
  });
}

/** The profile of two sets of rows together, which share no row. */
export function mergeProfiles(one: ColumnProfile, other: ColumnProfile): ColumnProfile {
  assertSameEdges(one, other);
  return {
    ...one,
    counts: one.counts.map((count, bin) => count + (other.counts[bin] ?? 0)),
    nulls: one.nulls + other.nulls,
    rows: one.rows + other.rows,
  };
}

function assertSameEdges(one: ColumnProfile, other: ColumnProfile): void {
  if (
    one.column === other.column &&
    one.edges.length === other.edges.length &&
    one.edges.every((edge, i) => edge === other.edges[i])
  )
    return;
  throw new DomainError('internal', 'Profiles can only be compared over the same column and edges.', {
    one: one.column,
    other: other.column,
  });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
