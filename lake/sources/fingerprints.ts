import type { Column, Window } from '../../domain/features.js';
import { digestOf } from '../../domain/json.js';
import { toMicros } from '../../domain/instants.js';
import { quoteName, type Session } from '../duckdb.js';
import { blaming } from './blame.js';
import { describe, type PinnedSource } from './source.js';

/** How a view's windows and its lookback cut event time; microseconds. */
export interface WindowGrid {
  readonly windowMicros: number;
  readonly lookbackMicros: number;
}

export interface BucketFingerprints {
  readonly columns: readonly Column[];
  /** A fingerprint of every bucket of event time that has rows, by the bucket's number. */
  readonly buckets: ReadonlyMap<number, string>;
}

/**
 * Event time is cut where a window begins and where a lookback does, so a row reaches all of a window's buckets or none: two
 * buckets a window, of which the odd one ends with it. Order does not matter, repeats do: per bucket the number of rows and
 * two 64-bit sums of row hashes. Columns are named one by one: an alias of the row would be hidden by a column of its name.
 */
export async function bucketFingerprints(
  session: Session,
  pinned: PinnedSource,
  slice: Window,
  { windowMicros, lookbackMicros }: WindowGrid,
): Promise<BucketFingerprints> {
  const micros = `epoch_us(${quoteName(pinned.source.spec.eventTime)})`;
  const cell = `floor(${micros} / ${windowMicros})::BIGINT`;
  const cut = Math.ceil(lookbackMicros / windowMicros) * windowMicros - lookbackMicros;
  return blaming(session, [pinned], async () => {
    const relation = pinned.relation(slice);
    const columns = await describe(session, relation);
    const rows = await session.rows<{ bucket: number; print: string }>(
      `SELECT (2 * ${cell} + (${micros} - ${cell} * ${windowMicros} >= ${cut})::BIGINT)::DOUBLE AS bucket, ${printOf(columns)} AS print
       FROM ${relation} GROUP BY 1`,
    );
    return { columns, buckets: new Map(rows.map(({ bucket, print }) => [bucket, print])) };
  });
}

/** DuckDB hashes a list or a struct without what it is made of: NULL, [] and [NULL] are one. Their text tells them apart. */
function printOf(columns: readonly Column[]): string {
  const isNested = ({ type }: Column) => /[\[(]/.test(type) && !/^(DECIMAL|ENUM)\([^()]*\)$/.test(type);
  const values = columns.map((column) => `${quoteName(column.name)}${isNested(column) ? '::VARCHAR' : ''}`).join(', ');
  return `count(*) || '/' || coalesce(sum(hash(${values})), 0) || '/' || coalesce(sum(hash('eider', ${values})), 0)`;
}

/** What a window depends on: the definition, the sources' columns, and every bucket of the sources from `lookback` before it to its end. */
export function windowFingerprint(
  definition: string,
  { start, end }: Window,
  { windowMicros, lookbackMicros }: WindowGrid,
  sources: readonly BucketFingerprints[],
): string {
  const last = 2 * (toMicros(start) / windowMicros) + 1;
  const first = last - 2 * Math.ceil(lookbackMicros / windowMicros);
  const rows = sources.map(({ columns, buckets }) => ({
    columns,
    buckets: Array.from({ length: last - first + 1 }, (_, at) => buckets.get(first + at) ?? ''),
  }));
  return digestOf({ definition, window: { start, end }, sources: rows });
}

/** What tells the state of what was pinned: the source's version, else its rows themselves. */
export async function stateOf(session: Session, pinned: PinnedSource): Promise<string> {
  if (pinned.version !== null) return pinned.version;
  const columns = await describe(session, pinned.rows);
  const [row] = await session.rows<{ print: string }>(`SELECT ${printOf(columns)} AS print FROM ${pinned.rows}`);
  return digestOf({ definition: pinned.source.hash, columns, rows: row?.print ?? '' });
}
