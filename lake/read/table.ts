import { join } from 'node:path';
import { DomainError } from '../../domain/errors.js';
import type { PinnedTable, TableColumn } from '../../domain/tables.js';
import { quoteName, quoteText } from '../quoting.js';
import type { ReadPlan } from './plan.js';
import { isTypeName } from './type-name.js';

type Files = Pick<PinnedTable, 'columns' | 'files'>;

/** Exactly the table's files, in their order, as the columns that it declares. */
export function tablePlan(table: Files, lakeRoot: string): ReadPlan {
  return {
    setup: [],
    scan: true,
    sql: tableRelation(table, lakeRoot),
    files: table.files.map(({ key }) => join(lakeRoot, key)),
    rows: table.files.reduce((sum, { rows }) => sum + rows, 0),
  };
}

/** The same as one SELECT, to stand in a larger one. No text of a client is in it. */
export function tableRelation({ columns, files }: Files, lakeRoot: string): string {
  const read = files.filter(({ rows }) => rows > 0).map(({ key }) => join(lakeRoot, key));
  for (const path of read) checkPath(path, lakeRoot);
  if (read.length === 0) return `SELECT ${columns.map(emptyColumn).join(', ')} WHERE false`;
  const from = `read_parquet([${read.map(quoteText).join(', ')}], hive_partitioning = false)`;
  return `SELECT ${columns.map(storedColumn).join(', ')} FROM ${from}`;
}

const emptyColumn = (column: TableColumn): string => `CAST(NULL AS ${typeOf(column)}) AS ${quoteName(column.name)}`;

/** A file may hold another type than the declared one: DuckDB writes a HUGEINT to Parquet as DOUBLE, an ENUM as VARCHAR. */
const storedColumn = (column: TableColumn): string =>
  `CAST(${quoteName(column.name)} AS ${typeOf(column)}) AS ${quoteName(column.name)}`;

function typeOf({ name, type }: TableColumn): string {
  if (isTypeName(type)) return type;
  throw new DomainError('type_unsupported', `Column "${name}" is declared as ${type}, which is no type of DuckDB's.`, { column: name, type }); // prettier-ignore
}

/** DuckDB would read `*`, `?` and `[` as a pattern. */
function checkPath(path: string, lakeRoot: string): void {
  if (!path.startsWith(`${lakeRoot}/`) || path.includes('/../') || /[*?[\]]/.test(path))
    throw new DomainError('internal', 'A recorded file lies outside the lake.', { path });
}
