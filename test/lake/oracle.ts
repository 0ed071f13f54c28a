import type { JoinMode } from '../../domain/point-in-time.js';

/** The rules of docs/point-in-time.md, one row and one view at a time: what every spine row must be answered. */

export type Keys = readonly [number | null, string | null];

export interface FeatureRow {
  readonly keys: Keys;
  /** Microseconds, here and below. */
  readonly at: number | null;
  readonly known: number | null;
  readonly value: number | null;
  readonly other: number | null;
}

export interface SpineRow {
  readonly keys: Keys;
  /** What a renamed join compares the keys with. */
  readonly elsewhere: Keys;
  readonly at: number | null;
  readonly passed: string | null;
}

export interface OracleView {
  /** None of the keys, the first, or both. */
  readonly keyCount: number;
  readonly renamed: boolean;
  readonly bitemporal: boolean;
  readonly mode: JoinMode;
  readonly ttlMicros: number | null;
  readonly rows: readonly FeatureRow[];
  readonly distinct?: boolean;
}

/** The row that answers, if any: of all that may, the greatest. */
export function answer(asked: SpineRow, view: OracleView): FeatureRow | null {
  const at = asked.at;
  if (at === null) return null;
  const keys = (view.renamed ? asked.elsewhere : asked.keys).slice(0, view.keyCount);
  let best: FeatureRow | null = null;
  for (const row of view.rows) {
    if (keys.some((key, place) => key === null || key !== row.keys[place])) continue;
    if (row.at === null || row.at > at) continue;
    if (view.mode === 'known_at' && knownAt(row, view) > at) continue;
    if (best === null || isGreater(order(row, view), order(best, view))) best = row;
  }
  if (best === null || isTooOld(at - (best.at as number), view)) return null;
  return best;
}

const knownAt = (row: FeatureRow, { bitemporal }: OracleView): number =>
  (bitemporal ? (row.known ?? row.at) : row.at) as number;

function isTooOld(ageMicros: number, { mode, ttlMicros }: OracleView): boolean {
  if (ttlMicros === null) return false;
  if (mode !== 'feast') return ageMicros > ttlMicros;
  const seconds = Math.trunc(ttlMicros / 1_000_000);
  return seconds > 0 && ageMicros > seconds * 1_000_000;
}

/** By event time, then known-at, then content in the features' order, where NULL is the greatest. */
const order = (row: FeatureRow, view: OracleView): number[] =>
  [row.at, knownAt(row, view), row.value, row.other].map((part) => part ?? Infinity);

function isGreater(one: readonly number[], other: readonly number[]): boolean {
  const place = one.findIndex((part, at) => part !== other[at]);
  return place >= 0 && (one[place] as number) > (other[place] as number);
}
