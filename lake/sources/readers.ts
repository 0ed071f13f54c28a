import type { Column } from '../../domain/features.js';
import { DomainError } from '../../domain/errors.js';
import { quoteName, quoteText, typed, type Session } from '../duckdb.js';
import { numberedRows } from '../file-rows.js';
import { describe, unreadable, type Source } from './source.js';

/**
 * The rows of files as an SQL relation, wherever the files lie. What a column means never depends on which rows or files
 * happen to be there: Parquet says its types, CSV and JSON have them declared, and nothing is guessed.
 */
export async function readerOf(session: Session, source: Source, files: readonly string[]): Promise<string> {
  try {
    switch (source.spec.format) {
      case 'csv':
        return await csvRows(session, source, files);
      case 'json':
        return jsonRows(source, files);
      default:
        return await parquetRows(session, source, files);
    }
  } catch (error) {
    throw unreadable(source, error);
  }
}

const listOf = (files: readonly string[]): string => `[${files.map(quoteText).join(', ')}]`;
const listNames = (columns: readonly Column[]) => columns.map(({ name, type }) => `${name} ${type}`).join(', ');

const declaredColumns = ({ spec }: Source): Column[] | null =>
  spec.columns === undefined ? null : Object.entries(spec.columns).map(([name, type]) => ({ name, type }));

const schemaChanged = (source: Source, detail: string): DomainError =>
  new DomainError('source_schema_changed', `Source "${source.name}": ${detail}`, { source: source.name });

async function parquetRows(session: Session, source: Source, files: readonly string[]): Promise<string> {
  const { rowNumber } = source.spec;
  const declared = declaredColumns(source);
  const options = `, hive_partitioning = false, union_by_name = ${files.length > 1}`;
  const plain = `read_parquet(${listOf(files)}${options})`;
  if (declared === null) await requireOneSchema(session, source, files);
  if (declared === null && !rowNumber) return `(SELECT * FROM ${plain})`;
  const there = (await describe(session, plain)).map(({ name }) => name);
  const rows = rowNumber
    ? numberedRows({ paths: files, options, columns: there, number: rowNumber, file: null })
    : plain;
  if (declared === null) return rows;
  const gone = declared.filter(({ name }) => !there.includes(name));
  if (gone.length > 0)
    throw schemaChanged(source, `no file has the declared ${listNames(gone)}; there are ${there.join(', ')}.`);
  const list = declared.map(({ name, type }) => `${typed(quoteName(name), type)} AS ${quoteName(name)}`);
  return `(SELECT ${[...list, ...(rowNumber ? [quoteName(rowNumber)] : [])].join(', ')} FROM ${rows})`;
}

/** Without declared columns all files have the same ones: a column that is gone from one would silently be NULL there. */
async function requireOneSchema(session: Session, source: Source, files: readonly string[]): Promise<void> {
  if (files.length < 2) return;
  const kinds = await session.rows<{ file: string; columns: string[] }>(
    `SELECT min(file_name) AS file, columns FROM (
       SELECT file_name, list_sort(list(name || ' ' || coalesce(duckdb_type, '')) FILTER (WHERE num_children IS NULL OR duckdb_type IS NOT NULL)) AS columns
       FROM parquet_schema(${listOf(files)}) GROUP BY file_name)
     GROUP BY columns ORDER BY file`,
  );
  const [first, other] = kinds;
  if (!first || !other) return;
  const lacks = (one: readonly string[], two: readonly string[]) => one.filter((column) => !two.includes(column));
  const only = (file: string, columns: readonly string[]) =>
    columns.length === 0 ? '' : `only ${file} has ${columns.join(', ')}`;
  const differences = [
    only(first.file, lacks(first.columns, other.columns)),
    only(other.file, lacks(other.columns, first.columns)),
  ];
  throw schemaChanged(source, `its files have different columns: ${differences.filter(Boolean).join('; ')}.`);
}

/**
 * Text is cut by the rules of RFC 4180 alone: DuckDB's guesses at a file's dialect change with its rows. Its reader goes by
 * position, so the header says which column is where, file by file; files of one header are read together.
 */
async function csvRows(session: Session, source: Source, files: readonly string[]): Promise<string> {
  const declared = requireDeclared(source);
  const byHeader = new Map<string, { header: Header; files: string[] }>();
  for (const file of files) {
    const header = await headerOf(session, source, file, declared);
    if (header === null) continue; // Without a byte in it, a file has no rows either.
    const group = byHeader.get(JSON.stringify(header)) ?? { header, files: [] };
    group.files.push(file);
    byHeader.set(JSON.stringify(header), group);
  }
  if (byHeader.size === 0) return `(SELECT ${declared.map(nullOf).join(', ')} LIMIT 0)`;
  const types = new Map(declared.map(({ name, type }) => [name, readAs(type)]));
  const parts = [...byHeader.values()].map(({ header, files }) => {
    const columns = header.names.map((name) => `${quoteText(name)}: ${quoteText(types.get(name) ?? 'VARCHAR')}`);
    return `SELECT ${declared.map(asDeclared).join(', ')} FROM read_csv(${listOf(files)}, ${dialect(header.delimiter)}, header = true, columns = {${columns.join(', ')}}, strict_mode = true, null_padding = false)`;
  });
  return `(${parts.join(' UNION ALL ')})`;
}

interface Header {
  readonly delimiter: string;
  readonly names: readonly string[];
}

const delimiters = [',', ';', '\t', '|'];
const csvColumnsMax = 500;
const dialect = (delimiter: string) =>
  `auto_detect = false, delim = ${quoteText(delimiter)}, quote = '"', escape = '"', hive_partitioning = false`;

/** The delimiter is the one by which the first line holds every declared column. Null: the file is empty. */
async function headerOf(
  session: Session,
  source: Source,
  file: string,
  declared: readonly Column[],
): Promise<Header | null> {
  const cells = Array.from({ length: csvColumnsMax }, (_, at) => `c${at}`);
  let first: readonly string[] = [];
  for (const delimiter of delimiters) {
    const [row] = await session.rows<{ cells: (string | null)[] }>(
      `SELECT [${cells.join(', ')}] AS cells FROM read_csv(${quoteText(file)}, ${dialect(delimiter)}, header = false, columns = {${cells.map((cell) => `${cell}: 'VARCHAR'`).join(', ')}}, null_padding = true, ignore_errors = true, parallel = false) LIMIT 1`,
    );
    if (!row) return null;
    const last = row.cells.findLastIndex((cell) => cell !== null);
    const names = row.cells.slice(0, last + 1).map((cell, at) => cell ?? `column${at}`);
    if (new Set(names).size === names.length && declared.every(({ name }) => names.includes(name)))
      return { delimiter, names };
    if (names.length > first.length) first = names;
  }
  const lacks = declared.filter(({ name }) => !first.includes(name));
  const reason = lacks.length === 0 ? 'names a column twice' : `lacks the declared ${listNames(lacks)}`;
  throw schemaChanged(source, `the header of ${file} ${reason}; it has ${first.join(', ')}.`);
}

/** A key that an object lacks is NULL, which is how JSON says so. */
function jsonRows(source: Source, files: readonly string[]): string {
  const declared = requireDeclared(source);
  const columns = declared.map(({ name, type }) => `${quoteText(name)}: ${quoteText(readAs(type))}`);
  return `(SELECT ${declared.map(asDeclared).join(', ')} FROM read_json(${listOf(files)}, columns = {${columns.join(', ')}}, hive_partitioning = false))`;
}

/** Read as TIMESTAMP or DATE, DuckDB would drop the offset of `2001-07-01T00:00:00+02:00`: two hours, or a day off. */
const isUtc = (type: string): boolean => type === 'TIMESTAMP' || type === 'DATE';
const readAs = (type: string): string => (isUtc(type) ? 'TIMESTAMP WITH TIME ZONE' : type);
const asDeclared = ({ name, type }: Column): string =>
  isUtc(type) ? `(${quoteName(name)} AT TIME ZONE 'UTC')::${type} AS ${quoteName(name)}` : quoteName(name);
const nullOf = ({ name, type }: Column): string => `NULL::${type} AS ${quoteName(name)}`;

function requireDeclared(source: Source): Column[] {
  const declared = declaredColumns(source);
  if (declared !== null) return declared;
  const { format, eventTime } = source.spec;
  throw new DomainError(
    'resource_invalid',
    `Source "${source.name}" must declare its columns, since ${format.toUpperCase()} has no types: columns: {${eventTime}: TIMESTAMP, …}.`,
    { source: source.name },
  );
}
