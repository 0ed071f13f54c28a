/** The rules of a point-in-time join, one row and one view at a time: what every spine row must be answered. */

export interface FeatureRow {
  readonly keys: readonly [number | null, string | null];
  /** Microseconds, here and below. */
  readonly at: number | null;
  readonly known: number | null;
  readonly value: number | null;
}

export interface SpineRow {
  readonly keys: readonly [number | null, string | null];
  readonly at: number | null;
  readonly passed: string | null;
}

export interface OracleView {
  /** The first of the keys, or both. */
  readonly keyCount: number;
  readonly bitemporal: boolean;
  readonly ttlMicros: number | null;
  readonly rows: readonly FeatureRow[];
  readonly distinct?: boolean;
}

export function answer(asked: SpineRow, view: OracleView): number | null {
  if (asked.at === null) return null;
  let best: { at: number; known: number; value: number | null } | null = null;
  for (const row of view.rows) {
    const keys = row.keys.slice(0, view.keyCount);
    if (keys.some((key, at) => key === null || key !== asked.keys[at])) continue;
    if (row.at === null || row.at > asked.at) continue;
    const known = view.bitemporal ? (row.known ?? row.at) : row.at;
    if (known > asked.at) continue;
    const candidate = { at: row.at, known, value: row.value };
    if (best === null || isGreater(candidate, best)) best = candidate;
  }
  if (best === null) return null;
  return view.ttlMicros !== null && asked.at - best.at > view.ttlMicros ? null : best.value;
}

type Candidate = { at: number; known: number; value: number | null };

/** By event time, then known-at, then content, where NULL is the greatest. */
function isGreater(one: Candidate, other: Candidate): boolean {
  if (one.at !== other.at) return one.at > other.at;
  if (one.known !== other.known) return one.known > other.known;
  return (one.value ?? Infinity) > (other.value ?? Infinity);
}
