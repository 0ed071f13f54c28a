import type { Column, Window } from '../../domain/features.js';
import { DomainError, isDomainError } from '../../domain/errors.js';
import type { Revision } from '../../domain/resources.js';
import type { SourceAccess } from '../access.js';
import { quoteName, quoteText, timestamp, type Session } from '../duckdb.js';

export type Source = Revision<'Source'>;

/** Under this name every source shows when its row could be known. */
export const knownAtColumn = 'known_at';

/** Which rows somebody will read: all, those of a slice of event time, or none, only the columns. */
export type Reach = Window | 'everything' | 'nothing';

/** A source in one state: whatever is read by it belongs together. */
export interface PinnedSource {
  readonly source: Source;
  /** Equal versions mean equal rows. Null: it cannot tell, and only its rows say whether they changed. */
  readonly version: string | null;
  /** The files that DuckDB reads where they lie. */
  readonly files?: readonly string[];
  /** The rows as they lie there, as an SQL relation of the session. */
  readonly rows: string;
  /** The same as SQL of people sees them: with their known-at, and only those of a slice within what was pinned. */
  relation(slice?: Window): string;
  /** False: what was read may mix two states. A copy never changes. */
  isUnchanged(): Promise<boolean>;
}

/** What a format must know to be a source. */
export interface SourceFormat {
  /** Null: the source cannot tell, and must always be looked at. */
  version(source: Source, access: SourceAccess): Promise<string | null>;
  /** For as long as the session lives. Throws `source_changed` when no single state could be had. */
  pin(session: Session, source: Source, access: SourceAccess, reach: Reach): Promise<PinnedSource>;
}

/** Rows of the source as SQL of people sees them: with a known-at, optionally only those of a slice of event time. */
export function relationOf({ spec: { eventTime, knownAt } }: Source, rows: string, slice?: Window): string {
  // The line break ends a comment in the expression.
  const known = `(${knownAt ?? quoteName(eventTime)}\n) AS ${knownAtColumn}`;
  // A column of that name is for the expression to read; nobody else sees it any more.
  const others = knownAt === undefined ? '*' : `COLUMNS(name -> lower(name) <> ${quoteText(knownAtColumn)})`;
  return `(SELECT ${others}, ${known} FROM (SELECT * FROM ${rows}${slice ? ` WHERE ${within(eventTime, slice)}` : ''}))`;
}

/** Half-open, in UTC: a row stamped at the end belongs to the next slice. */
const within = (eventTime: string, { start, end }: Window): string =>
  `${quoteName(eventTime)} >= ${timestamp(start)} AND ${quoteName(eventTime)} < ${timestamp(end)}`;

/** A source whose rows were copied into the session: a copy is of one state and never changes. */
export const pinnedCopy = (source: Source, version: string | null, rows: string): PinnedSource => ({
  ...{ source, version, rows },
  relation: (slice) => relationOf(source, rows, slice),
  isUnchanged: () => Promise.resolve(true),
});

/** What a copy is restricted to. */
export const reachClause = ({ spec: { eventTime } }: Source, reach: Reach): string =>
  reach === 'everything' ? '' : reach === 'nothing' ? ' LIMIT 0' : ` WHERE ${within(eventTime, reach)}`;

export async function describe(session: Session, relation: string): Promise<Column[]> {
  const rows = await session.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${relation}`);
  return rows.map(({ column_name, column_type }) => ({ name: column_name, type: column_type }));
}

export const changed = (source: Source, cause?: unknown): DomainError =>
  new DomainError(
    'source_changed',
    `Source "${source.name}" changed while it was read.`,
    { source: source.name },
    { cause },
  );

export const missing = (source: Source, what: string): DomainError =>
  new DomainError('source_missing', `Source "${source.name}" reads ${what}`, {
    source: source.name,
    path: source.spec.path,
  });

export const notAllowed = (source: Source): DomainError =>
  new DomainError(
    'path_not_allowed',
    `Source "${source.name}" reads ${source.spec.path}, which lies outside the allowed folders.`,
    { source: source.name },
  );

/** DuckDB's failure while it read this source, said of the source and of the file, which DuckDB does not always name. */
export function unreadable(source: Source, error: unknown, file?: string): unknown {
  if (!isDomainError(error) || error.code !== 'query_failed') return error;
  const place = file ?? fileOf(error.cause) ?? source.spec.path;
  const where = place === undefined || error.message.includes(place) ? '' : ` (in ${place})`;
  return new DomainError(
    'source_unreadable',
    `Source "${source.name}": ${error.message}${where}`,
    { source: source.name },
    { cause: error },
  );
}

/** The CSV reader names the file among its options, far below the first line. */
const fileOf = (cause: unknown): string | null =>
  /^\s*file ?= ?(.+)$/m.exec(String((cause as { message?: unknown } | undefined)?.message ?? ''))?.[1]?.trim() ?? null;
