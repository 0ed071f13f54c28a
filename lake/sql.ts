import type { Column } from '../domain/features.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { quoteName, quoteText, type Session } from './duckdb.js';

/** Table functions that make rows from nothing but their arguments. */
const pureTableFunctions = new Set(['range', 'generate_series', 'unnest']);

/** Written without parentheses these are calls as well; a column of such a name must be qualified by its table. */
const clockWords = new Set(['current_date', 'current_time', 'current_timestamp', 'localtime', 'localtimestamp']);

interface Parsed {
  tables: Set<string>;
  tableFunctions: Set<string>;
  functions: Set<string>;
  ctes: Set<string>;
  clockWords: Set<string>;
  sampled: boolean;
}

/**
 * Refuses SQL that is not one SELECT over the named relations, or that could answer otherwise tomorrow: DuckDB's own parser
 * says what it calls, DuckDB's own catalogue whether that is deterministic.
 */
export async function checkSelect(session: Session, sql: string, relations: readonly string[]): Promise<void> {
  const parsed = await parse(session, sql);
  const allowed = new Set([...relations, ...parsed.ctes].map((name) => name.toLowerCase()));
  const unknown = [...parsed.tables].filter((table) => !allowed.has(table.toLowerCase()));
  if (unknown.length > 0)
    throw new DomainError(
      'sql_invalid',
      `The SQL reads ${unknown.join(', ')}, but only ${relations.join(', ')} is declared.`,
      { unknown, declared: relations },
    );
  const forbidden = [...parsed.tableFunctions].filter((name) => !pureTableFunctions.has(name));
  if (forbidden.length > 0)
    throw new DomainError(
      'sql_invalid',
      `The SQL calls the table function ${forbidden.join(', ')}; it may only read its declared sources.`,
      { forbidden },
    );
  const unstable = [...parsed.clockWords, ...(await unstableFunctions(session, [...parsed.functions]))];
  if (unstable.length > 0)
    throw new DomainError('sql_not_deterministic', `The SQL calls ${unstable.join(', ')}.`, { functions: unstable });
  if (parsed.sampled) throw new DomainError('sql_not_deterministic', 'The SQL takes a random sample.', {});
}

/** Of these functions those that may answer otherwise next time. A macro is as stable as what it is made of. */
async function unstableFunctions(session: Session, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const rows = await session.rows<{ name: string }>(
    `SELECT DISTINCT function_name AS name FROM duckdb_functions()
     WHERE (stability <> 'CONSISTENT' OR macro_definition LIKE '%current_timestamp%') AND function_name IN (${names.map(quoteText).join(', ')}) ORDER BY 1`,
  );
  return rows.map(({ name }) => `${name}()`);
}

async function parse(session: Session, sql: string): Promise<Parsed> {
  const [row] = await session.rows<{ tree: string }>('SELECT json_serialize_sql($sql::VARCHAR)::VARCHAR AS tree', {
    sql,
  });
  const tree = JSON.parse(row?.tree ?? '{}') as {
    error?: boolean;
    error_type?: string;
    error_message?: string;
    statements?: unknown[];
  };
  if (tree.error)
    throw new DomainError(
      'sql_invalid',
      tree.error_type === 'not implemented' ? 'The SQL is not a SELECT.' : (tree.error_message ?? 'It does not parse.'),
      {},
    );
  if (tree.statements?.length !== 1)
    throw new DomainError(
      'sql_invalid',
      `The SQL has ${tree.statements?.length ?? 0} statements; it must be one SELECT.`,
      {},
    );
  const parsed: Parsed = {
    ...{ tables: new Set(), tableFunctions: new Set(), functions: new Set() },
    ...{ ctes: new Set(), clockWords: new Set(), sampled: false },
  };
  walk(tree.statements[0], parsed);
  return parsed;
}

function walk(node: unknown, into: Parsed): void {
  if (Array.isArray(node)) return node.forEach((inner) => walk(inner, into));
  if (node === null || typeof node !== 'object') return;
  const fields = node as Record<string, unknown>;
  if (fields.type === 'BASE_TABLE')
    into.tables.add([fields.catalog_name, fields.schema_name, fields.table_name].filter(Boolean).join('.'));
  if (fields.type === 'TABLE_FUNCTION') into.tableFunctions.add(functionName(fields.function));
  else if (fields.class === 'FUNCTION' || fields.class === 'WINDOW') into.functions.add(functionName(fields));
  else if (fields.class === 'COLUMN_REF') noteClockWord(fields.column_names as string[], into);
  if (fields.sample) into.sampled = true;
  if (fields.cte_map)
    for (const { key } of (fields.cte_map as { map: { key: string }[] }).map ?? []) into.ctes.add(key);
  for (const [name, inner] of Object.entries(fields))
    if (!(fields.type === 'TABLE_FUNCTION' && name === 'function')) walk(inner, into);
}

function noteClockWord(names: readonly string[], into: Parsed): void {
  const [name = ''] = names;
  if (names.length === 1 && clockWords.has(name.toLowerCase())) into.clockWords.add(name.toLowerCase());
}

const functionName = (node: unknown): string =>
  String((node as { function_name?: string }).function_name ?? '').toLowerCase();

export interface NamedRelation {
  readonly name: string;
  readonly relation: string;
}

/** The SELECT over its sources, as a relation. The line break ends a comment on its last line. */
export const withSources = (sql: string, sources: readonly NamedRelation[]): string =>
  `(WITH ${sources.map(({ name, relation }) => `${quoteName(name)} AS (SELECT * FROM ${relation})`).join(', ')} SELECT * FROM (${sql.trim().replace(/;\s*$/, '')}\n))`;

/** Columns that the SELECT yields; a SELECT that does not bind is `sql_invalid` with DuckDB's sentence. */
export async function describeSelect(
  session: Session,
  sql: string,
  sources: readonly NamedRelation[],
): Promise<Column[]> {
  try {
    const rows = await session.rows<{ column_name: string; column_type: string }>(
      `DESCRIBE SELECT * FROM ${withSources(sql, sources)}`,
    );
    return rows.map(({ column_name, column_type }) => ({ name: column_name, type: column_type }));
  } catch (error) {
    if (!isDomainError(error)) throw error;
    throw new DomainError('sql_invalid', error.message, {}, { cause: error });
  }
}

/** Every expected column must be there; types are cast later, so that a view keeps its declared types. */
export function requireColumns(
  columns: readonly Column[],
  expected: readonly { name: string; purpose: string }[],
): void {
  const have = new Set(columns.map((column) => column.name));
  const missing = expected.filter((one) => !have.has(one.name));
  if (missing.length > 0)
    throw new DomainError(
      'sql_invalid',
      `The SQL does not yield ${missing.map((one) => `${one.purpose} "${one.name}"`).join(', ')}; it yields ${[...have].join(', ')}.`,
      { missing, columns },
    );
}
