import { sha256 } from './json.js';

/**
 * What the values of a column look like, in whole numbers that add up: the statistics of two windows, added, are those of the
 * rows of both, exactly and in any order. Numbers are counted in buckets that grow by a constant factor (DDSketch), so that a
 * quantile is known to within `relativeError` of its value.
 */
export interface ColumnStatistics {
  readonly column: string;
  readonly kind: 'number' | 'text' | 'time';
  readonly rows: number;
  readonly nulls: number;
  /** Of values that are finite; of times in microseconds since 1970. Null without such a value. */
  readonly min: number | null;
  readonly max: number | null;
  readonly nan: number;
  readonly infinite: { readonly positive: number; readonly negative: number };
  /** Finite numbers by the number of their bucket, see `bucketOf`. */
  readonly buckets: Readonly<Record<string, number>>;
  /** Texts and booleans by value; of very many values those that `kept` keeps. */
  readonly values: Readonly<Record<string, number>>;
  /** Rows whose text is not among `values`. */
  readonly other: number;
}

export const relativeError = 0.005;
export const bucketBase = Math.log((1 + relativeError) / (1 - relativeError));
/** Above every exponent of a double, so that the sign of a bucket is the sign of its values; zero has the bucket 0. */
export const bucketOffset = 80_000;
/** How many texts are counted by name, and how much of each is looked at. */
export const valuesMax = 256;
export const textMax = 200;

/** The bucket of a finite number. SQL says the same in `lake/statistics.ts`. */
export const bucketOf = (value: number): number =>
  value === 0 ? 0 : Math.sign(value) * (bucketOffset + Math.ceil(Math.log(Math.abs(value)) / bucketBase));

/** Adds statistics of the same columns; null for none. */
export function mergeStatistics(all: readonly (readonly ColumnStatistics[])[]): ColumnStatistics[] | null {
  const [first, ...others] = all;
  if (!first) return null;
  return first.map((column) => {
    const same = others.flatMap((one) => one.filter((other) => other.column === column.column));
    return added([column, ...same]);
  });
}

function added(all: readonly ColumnStatistics[]): ColumnStatistics {
  const { column, kind } = all[0] as ColumnStatistics;
  const sum = (of: (one: ColumnStatistics) => number) => all.reduce((total, one) => total + of(one), 0);
  const bound = (of: (one: ColumnStatistics) => number | null, pick: (...values: number[]) => number) => {
    const known = all.map(of).filter((value) => value !== null);
    return known.length === 0 ? null : pick(...known);
  };
  const counted = addCounts(all.map(({ values }) => values));
  const values = kept(counted);
  const named = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
  return {
    ...{ column, kind, rows: sum((one) => one.rows), nulls: sum((one) => one.nulls) },
    min: bound((one) => one.min, Math.min),
    max: bound((one) => one.max, Math.max),
    nan: sum((one) => one.nan),
    infinite: { positive: sum((one) => one.infinite.positive), negative: sum((one) => one.infinite.negative) },
    buckets: addCounts(all.map(({ buckets }) => buckets)),
    values,
    other: sum((one) => one.other) + named(counted) - named(values),
  };
}

function addCounts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const one of all)
    for (const [key, count] of Object.entries(one)) counts.set(key, (counts.get(key) ?? 0) + count);
  return Object.fromEntries(counts);
}

/**
 * Of too many texts those with the smallest hashes, not the most frequent ones: whatever stays in the sum stayed in each of
 * its parts, so that its count is exact. (The most frequent of a sum may be among the rare of every part.)
 */
function kept(values: Readonly<Record<string, number>>): Record<string, number> {
  const entries = Object.entries(values);
  if (entries.length <= valuesMax) return Object.fromEntries(entries);
  const ranked = entries.map((entry) => ({ entry, rank: sha256(entry[0]) }));
  ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
  return Object.fromEntries(ranked.slice(0, valuesMax).map(({ entry }) => entry));
}

/** The value at a share of the column's numbers, infinities included, within `relativeError`; null without numbers. */
export function quantile(statistics: ColumnStatistics, share: number): number | null {
  const { infinite, buckets, min, max } = statistics;
  const finite = Object.entries(buckets)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort(([a], [b]) => a - b);
  const total = infinite.negative + infinite.positive + finite.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  const rank = Math.floor(share * (total - 1));
  let seen = infinite.negative;
  if (rank < seen) return -Infinity;
  for (const [bucket, count] of finite) {
    seen += count;
    if (rank < seen) return Math.min(Math.max(middleOf(bucket), min ?? -Infinity), max ?? Infinity);
  }
  return Infinity;
}

/** The value of a bucket from which none of its values is further than `relativeError`. */
function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const upper = Math.exp((Math.abs(bucket) - bucketOffset) * bucketBase);
  return (Math.sign(bucket) * 2 * upper) / (1 + Math.exp(bucketBase));
}

/** How many different texts there are: exact up to `valuesMax`, then estimated from how close the smallest hashes lie. */
export function distinctTexts({ values, other }: ColumnStatistics): { count: number; exact: boolean } {
  const texts = Object.keys(values);
  if (other === 0) return { count: texts.length, exact: true };
  const largest = texts
    .map((text) => parseInt(sha256(text).slice(0, 12), 16) / 16 ** 12)
    .reduce((a, b) => Math.max(a, b), 0);
  return { count: Math.round((texts.length - 1) / largest), exact: false };
}

const shares = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const;

/** What people read of a column's statistics; JSON has no infinity, so it is a word there. */
export function summaryOf(statistics: ColumnStatistics) {
  const { column, kind, rows, nulls, nan, infinite, min, max, values, other } = statistics;
  const worded = (value: number | null) =>
    value === null || Number.isFinite(value) ? value : value > 0 ? 'Infinity' : '-Infinity';
  const base = { column, kind, rows, nulls };
  if (kind === 'time') return { ...base, min, max };
  if (kind === 'text') return { ...base, distinct: distinctTexts(statistics), values, other };
  const quantiles = Object.fromEntries(shares.map((share) => [String(share), worded(quantile(statistics, share))]));
  return { ...base, nan, infinite, min, max, quantiles };
}
