import type { Column } from '../domain/features.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { quoteName, quoteText, type Session } from './duckdb.js';

/** Table functions that make rows from nothing but their arguments. */
const pureTableFunctions = new Set(['range', 'generate_series', 'unnest']);

/** Written without parentheses these are calls as well; a column of such a name must be qualified by its table. */
const clockWords = new Set(['current_date', 'current_time', 'current_timestamp', 'localtime', 'localtimestamp']);

/** DuckDB calls these consistent, but they tell of the server and of the session, not of rows. */
const sessionFunctions = new Set(['current_setting', 'getvariable']);

/** DuckDB may take any other name for a file's. */
const plainName = /^[A-Za-z_]\w*$/;

interface Parsed {
  /** Tables that nothing declares where they are read. */
  unknown: Set<string>;
  tableFunctions: Set<string>;
  functions: Set<string>;
  clockWords: Set<string>;
  sampled: boolean;
}

/**
 * Refuses SQL that is not one SELECT over the named relations, or that could answer otherwise tomorrow: DuckDB's own parser
 * says what it calls, DuckDB's own catalogue whether that is deterministic.
 */
export async function checkSelect(session: Session, sql: string, relations: readonly string[]): Promise<void> {
  const parsed = await parse(session, sql, relations);
  const unknown = [...parsed.unknown];
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
  const others = [...sessionFunctions].map(quoteText).join(', ');
  const rows = await session.rows<{ name: string }>(
    `SELECT DISTINCT function_name AS name FROM duckdb_functions()
     WHERE (stability <> 'CONSISTENT' OR macro_definition LIKE '%current_timestamp%' OR function_name IN (${others})) AND function_name IN (${names.map(quoteText).join(', ')}) ORDER BY 1`,
  );
  return rows.map(({ name }) => `${name}()`);
}

async function parse(session: Session, sql: string, relations: readonly string[]): Promise<Parsed> {
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
    ...{ unknown: new Set(), tableFunctions: new Set(), functions: new Set(), clockWords: new Set() },
    sampled: false,
  };
  walk(tree.statements[0], new Set(relations.map((name) => name.toLowerCase())), parsed);
  return parsed;
}

/** `visible` are the names that may be read here, in lower case: what is declared, and the WITHs around this place. */
function walk(node: unknown, visible: ReadonlySet<string>, into: Parsed): void {
  if (Array.isArray(node)) return node.forEach((inner) => walk(inner, visible, into));
  if (node === null || typeof node !== 'object') return;
  const fields = node as Record<string, unknown>;
  note(fields, visible, into);
  const { cte_map: ctes, ...others } = fields;
  const inside = walkCtes(ctes as CteMap | undefined, visible, into);
  const recursive = fields.type === 'RECURSIVE_CTE_NODE' ? withName(inside, String(fields.cte_name), into) : inside;
  for (const [name, inner] of Object.entries(others))
    if (fields.type === 'TABLE_FUNCTION' && name === 'function')
      walk((inner as { children?: unknown }).children, inside, into);
    else walk(inner, name === 'right' ? recursive : inside, into);
}

/** What a node says by itself, without what is in it. */
function note(fields: Record<string, unknown>, visible: ReadonlySet<string>, into: Parsed): void {
  if (fields.type === 'BASE_TABLE') {
    const { catalog_name: catalog, schema_name: schema, table_name: table } = fields;
    if (catalog || schema || !visible.has(String(table).toLowerCase()))
      into.unknown.add([catalog, schema, table].filter(Boolean).join('.'));
  }
  // DESCRIBE, SUMMARIZE and SHOW, which may be written like a table.
  if (fields.type === 'SHOW_REF') into.unknown.add(String(fields.table_name) || String(fields.show_type));
  if (fields.type === 'TABLE_FUNCTION') into.tableFunctions.add(functionName(fields.function));
  else if (fields.class === 'FUNCTION' || fields.class === 'WINDOW') into.functions.add(functionName(fields));
  else if (fields.class === 'COLUMN_REF') noteClockWord(fields.column_names as string[], into);
  if (fields.sample) into.sampled = true;
}

interface CteMap {
  readonly map?: readonly { readonly key: string; readonly value: unknown }[];
}

/** Each sees those before it, never itself: there DuckDB would look for a table or a file of its name. */
function walkCtes(ctes: CteMap | undefined, visible: ReadonlySet<string>, into: Parsed): ReadonlySet<string> {
  return (ctes?.map ?? []).reduce((before, { key, value }) => {
    walk(value, before, into);
    return withName(before, key, into);
  }, visible);
}

function withName(visible: ReadonlySet<string>, name: string, into: Parsed): ReadonlySet<string> {
  if (!plainName.test(name)) into.unknown.add(name);
  return new Set([...visible, name.toLowerCase()]);
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
