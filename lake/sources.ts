import { realpath, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import { glob as fastGlob } from 'tinyglobby';
import type { Column, Window } from '../domain/features.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { digestOf } from '../domain/json.js';
import { toMicros } from '../domain/instants.js';
import type { Revision } from '../domain/resources.js';
import type { SourceAccess } from './access.js';
import { quoteName, quoteText, timestamp, type Session } from './duckdb.js';

export type Source = Revision<'Source'>;

/** Under this name every source shows when its row could be known. */
export const knownAtColumn = 'known_at';

/** The files of the source with sizes and times of change: an equal version means equal rows, without opening anything. */
export async function sourceVersion(source: Source, access: SourceAccess): Promise<string> {
  const files = await sourceFiles(source, access);
  const states = await Promise.all(
    files.map(async (file) => {
      const { size, mtimeNs } = await stat(file, { bigint: true });
      return [file, String(size), String(mtimeNs)];
    }),
  );
  return digestOf({ definition: source.hash, states });
}

/** The files behind the path, sorted; each must lie under a root that this server may read. */
export async function sourceFiles(source: Source, access: SourceAccess): Promise<string[]> {
  const path = source.spec.path ?? '';
  const found = /[*?[{]/.test(path) ? await fastGlob(path, { absolute: true }) : [path];
  const files = await Promise.all(found.map(async (file) => realpath(file).catch(() => file)));
  const real = await Promise.all(access.roots.map((root) => realpath(root).catch(() => root)));
  for (const file of files)
    if (!real.some((root) => file === root || file.startsWith(root.endsWith(sep) ? root : root + sep)))
      throw new DomainError(
        'path_not_allowed',
        `Source "${source.name}" reads ${path}, which lies outside the allowed folders.`,
        { source: source.name },
      );
  for (const file of files)
    await stat(file).catch(() => {
      throw new DomainError('source_missing', `Source "${source.name}" reads ${path}, which does not exist.`, {
        source: source.name,
        path,
      });
    });
  if (files.length === 0)
    throw new DomainError('source_missing', `No file matches ${path} of source "${source.name}".`, {
      source: source.name,
      path,
    });
  if (source.spec.rowNumber && files.length > 1)
    throw new DomainError(
      'resource_invalid',
      `Source "${source.name}" asks for row numbers, which need a single file, but ${files.length} match.`,
      { source: source.name },
    );
  return files.sort();
}

/** The source as an SQL relation, optionally only the rows of a slice of event time. */
export function sourceRelation(source: Source, files: readonly string[], slice?: Window): string {
  const { format, rowNumber, eventTime, knownAt } = source.spec;
  const list = `[${files.map(quoteText).join(', ')}]`;
  const reader =
    format === 'parquet'
      ? `read_parquet(${list}${rowNumber ? ', file_row_number = true' : ''})`
      : format === 'csv'
        ? `read_csv(${list})`
        : `read_json(${list})`;
  const number = rowNumber ? ` EXCLUDE (file_row_number), file_row_number AS ${quoteName(rowNumber)}` : '';
  const where = slice
    ? ` WHERE ${quoteName(eventTime)} >= ${timestamp(slice.start)} AND ${quoteName(eventTime)} < ${timestamp(slice.end)}`
    : '';
  // The line break ends a comment in the expression.
  const known = `(${knownAt ?? quoteName(eventTime)}\n) AS ${knownAtColumn}`;
  return `(SELECT *, ${known} FROM (SELECT *${number} FROM ${reader})${where})`;
}

/** Columns of the source as SQL sees it; an unreadable file is `source_unreadable` with DuckDB's sentence. */
export async function describeSource(session: Session, source: Source, files: readonly string[]): Promise<Column[]> {
  return describe(session, sourceRelation(source, files)).catch((error: unknown) => {
    throw unreadable(source, error);
  });
}

export async function describe(session: Session, relation: string): Promise<Column[]> {
  const rows = await session.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${relation}`);
  return rows.map(({ column_name, column_type }) => ({ name: column_name, type: column_type }));
}

/** DuckDB's failure while it read this source, said of the source. */
export function unreadable(source: Source, error: unknown): unknown {
  if (!isDomainError(error) || error.code !== 'query_failed') return error;
  return new DomainError(
    'source_unreadable',
    `Source "${source.name}": ${error.message}`,
    { source: source.name },
    { cause: error },
  );
}

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
  source: Source,
  files: readonly string[],
  slice: Window,
  { windowMicros, lookbackMicros }: WindowGrid,
): Promise<BucketFingerprints> {
  const micros = `epoch_us(${quoteName(source.spec.eventTime)})`;
  const cell = `floor(${micros} / ${windowMicros})::BIGINT`;
  const cut = Math.ceil(lookbackMicros / windowMicros) * windowMicros - lookbackMicros;
  const rows = await session
    .rows<{ bucket: number; print: string }>(
      `SELECT (2 * ${cell} + (${micros} - ${cell} * ${windowMicros} >= ${cut})::BIGINT)::DOUBLE AS bucket,
         count(*) || '/' || sum(hash(rows)) || '/' || sum(hash('eider', rows)) AS print
       FROM ${sourceRelation(source, files, slice)} AS rows GROUP BY 1`,
    )
    .catch((error: unknown) => {
      throw unreadable(source, error);
    });
  return new Map(rows.map(({ bucket, print }) => [bucket, print]));
}

/** What a window depends on: the definition, and every bucket of the sources from `lookback` before it to its end. */
export function windowFingerprint(
  definition: string,
  window: Window,
  { windowMicros, lookbackMicros }: WindowGrid,
  sources: readonly BucketFingerprints[],
): string {
  const last = 2 * (toMicros(window.start) / windowMicros) + 1;
  const first = last - 2 * Math.ceil(lookbackMicros / windowMicros);
  const buckets = sources.map((prints) =>
    Array.from({ length: last - first + 1 }, (_, at) => prints.get(first + at) ?? ''),
  );
  return digestOf({ definition, window, buckets });
}
