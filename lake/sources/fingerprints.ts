import type { Window } from '../../domain/features.js';
import { digestOf } from '../../domain/json.js';
import { toMicros } from '../../domain/instants.js';
import { quoteName, type Session } from '../duckdb.js';
import { blaming } from './blame.js';
import type { PinnedSource } from './source.js';

/** How a view's windows and its lookback cut event time; microseconds. */
export interface WindowGrid {
  readonly windowMicros: number;
  readonly lookbackMicros: number;
}

/** A fingerprint of every bucket of event time that has rows, by the bucket's number. */
export type BucketFingerprints = ReadonlyMap<number, string>;

/**
 * Event time is cut where a window begins and where a lookback does, so a row reaches all of a window's buckets or none: two
 * buckets a window, of which the odd one ends with it. Order does not matter, repeats do: per bucket the number of rows and
 * two 64-bit sums of row hashes.
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
  const rows = await blaming(session, [pinned], () =>
    session.rows<{ bucket: number; print: string }>(
      `SELECT (2 * ${cell} + (${micros} - ${cell} * ${windowMicros} >= ${cut})::BIGINT)::DOUBLE AS bucket,
         count(*) || '/' || sum(hash(rows)) || '/' || sum(hash('eider', rows)) AS print
       FROM ${pinned.relation(slice)} AS rows GROUP BY 1`,
    ),
  );
  return new Map(rows.map(({ bucket, print }) => [bucket, print]));
}

/** What a window depends on: the definition, and every bucket of the sources from `lookback` before it to its end. */
export function windowFingerprint(
  definition: string,
  { start, end }: Window,
  { windowMicros, lookbackMicros }: WindowGrid,
  sources: readonly BucketFingerprints[],
): string {
  const last = 2 * (toMicros(start) / windowMicros) + 1;
  const first = last - 2 * Math.ceil(lookbackMicros / windowMicros);
  const buckets = sources.map((prints) =>
    Array.from({ length: last - first + 1 }, (_, at) => prints.get(first + at) ?? ''),
  );
  return digestOf({ definition, window: { start, end }, buckets });
}

/** What tells the state of what was pinned: the source's version, else its rows themselves. */
export async function stateOf(session: Session, pinned: PinnedSource): Promise<string> {
  if (pinned.version !== null) return pinned.version;
  const [row] = await session.rows<{ print: string }>(
    `SELECT count(*) || '/' || coalesce(sum(hash(rows)), 0) || '/' || coalesce(sum(hash('eider', rows)), 0) AS print FROM ${pinned.rows} AS rows`,
  );
  return digestOf({ definition: pinned.source.hash, rows: row?.print ?? '' });
}
