import { DomainError, isDomainError } from '../../domain/errors.js';
import type { SourceAccess } from '../access.js';
import { quoteName, quoteText, type Session } from '../duckdb.js';
import { copyRows, type Importer } from './importer.js';
import { missing, pinnedCopy, type Reach, type Source, type SourceFormat } from './source.js';

const connectSeconds = 10;

/**
 * A table or view of PostgreSQL. It has no version that could be trusted and had cheaply (`xmin` and counters miss or invent
 * changes), so its rows are looked at each time: one statement copies them, and everything is made of that copy.
 */
export const postgresTable: SourceFormat = {
  version: async (source, access) => (urlOf(source, access), null),

  async pin(session, source, access, reach) {
    const rows = await copyRows(session, access, importerOf(source, access), (inside) =>
      selectOf(inside, source, reach),
    ).catch((error: unknown) => {
      throw unreachable(source, error);
    });
    return pinnedCopy(source, null, rows);
  },
};

function urlOf({ name, spec }: Source, { connections }: SourceAccess): URL {
  const url = Object.hasOwn(connections, spec.connection ?? '') ? connections[spec.connection ?? ''] : undefined;
  if (url !== undefined) return new URL(url);
  const known = Object.keys(connections);
  throw new DomainError(
    'connection_unknown',
    `Source "${name}" reads the connection "${spec.connection}"; EIDER_CONNECTIONS has ${known.length === 0 ? 'none' : known.join(', ')}.`,
    { source: name, known },
  );
}

function importerOf(source: Source, access: SourceAccess): Importer {
  const url = urlOf(source, access);
  const { password } = url;
  // PostgreSQL's library refuses a % that begins no code.
  url.password = encodeURIComponent(decoded(password));
  if (!url.searchParams.has('connect_timeout')) url.searchParams.set('connect_timeout', String(connectSeconds));
  return {
    source,
    extensions: ['postgres_scanner'],
    prepare: [
      // Attached before the engine is locked, because afterwards it may not.
      `ATTACH ${quoteText(url.href)} AS pg (TYPE postgres, READ_ONLY)`,
    ],
    secrets: [
      ...[url.href, access.connections[source.spec.connection ?? ''] ?? ''],
      ...[password, url.password, decoded(password), ...url.searchParams.getAll('password')],
    ],
  };
}

/** A password may hold a % that begins no code. */
function decoded(password: string): string {
  try {
    return decodeURIComponent(password);
  } catch {
    return password;
  }
}

const ask = (sql: string): string => `postgres_query('pg', ${quoteText(sql)})`;

/** What PostgreSQL itself shall answer, in one statement and so of one snapshot. */
async function selectOf(inside: Session, source: Source, reach: Reach): Promise<string> {
  const { table = '', eventTime } = source.spec;
  const name = table.split('.').map(quoteName).join('.');
  const columns = await inside.rows<{ name: string; type: string }>(
    `SELECT * FROM ${ask(`SELECT a.attname AS name, CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END AS type
       FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
       WHERE a.attrelid = to_regclass(${quoteText(name)}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`)}`,
  );
  if (columns.length === 0)
    throw missing(source, `table ${table}, which "${source.spec.connection}" does not have or may not read.`);
  const list = columns.map(({ name, type }) => `${asKept(quoteName(name), type)} AS ${quoteName(name)}`).join(', ');
  const at = columns.find((column) => column.name === eventTime);
  const literal = (instant: string) => `${quoteText(instant)}::timestamptz${/without/.test(at?.type ?? '') ? " AT TIME ZONE 'UTC'" : ''}`; // prettier-ignore
  const slice =
    typeof reach === 'string' || !at
      ? ''
      : ` WHERE ${quoteName(eventTime)} >= ${literal(reach.start)} AND ${quoteName(eventTime)} < ${literal(reach.end)}`;
  return `SELECT * FROM ${ask(`SELECT ${list} FROM ${name}${reach === 'nothing' ? ' LIMIT 0' : slice}`)}`;
}

/** DuckDB's decimals have at most 38 digits and no NaN: it would read NaN as 0. */
function asKept(column: string, type: string): string {
  const [, digits, scale, array] = /^numeric(?:\((\d+),(-?\d+)\))?(\[\])?$/.exec(type) ?? [];
  if (!type.startsWith('numeric')) return column;
  if (digits === undefined || Number(digits) > 38 || Number(scale) < 0 || Number(scale) > Number(digits) || array)
    return `${column}::float8${array ?? ''}`;
  const refusal = `(${quoteText(`column ${column} holds `)} || ${column}::text)::numeric`;
  return `(CASE WHEN ${column} = 'NaN' THEN ${refusal} ELSE ${column} END)::numeric(${digits},${scale})`;
}

/** A server that is away may come back; one that refuses will go on doing so. */
function unreachable(source: Source, error: unknown): unknown {
  if (!isDomainError(error) || error.code !== 'source_unreadable' || !/Unable to connect/.test(error.message))
    return error;
  if (/authentication failed|does not exist|no pg_hba|permission denied/.test(error.message)) return error;
  return new DomainError('source_unreachable', error.message, { source: source.name });
}
