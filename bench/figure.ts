/** One line of `npm run bench`. Times are wall clock; `peer` was measured in the same run, in turns with ours. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number | null;
  /** What the peer is. */
  readonly beside: string;
  /** The figure that the target is about: ours, or ours against the peer's. */
  readonly judged: number;
  readonly target: { readonly atMost: number } | { readonly atLeast: number } | null;
}

/** A figure without a target is reported and cannot fail. */
export function isMet({ judged, target }: Figure): boolean {
  if (target === null) return true;
  return 'atMost' in target ? judged <= target.atMost : judged >= target.atLeast;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}
