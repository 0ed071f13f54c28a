import { join } from 'node:path';
import { DomainError } from '../../domain/errors.js';
import type { PinnedTable, TableColumn } from '../../domain/tables.js';
import { quoteName, quoteText } from '../duckdb.js';
import type { ReadPlan } from './plan.js';

type Files = Pick<PinnedTable, 'columns' | 'files'>;

/** Exactly the table's files, in their order, as the columns that it declares. */
export function tablePlan(table: Files, lakeRoot: string): ReadPlan {
  return {
    setup: [],
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

const emptyColumn = ({ name, type }: TableColumn): string =>
  casts(type).reduce((inner, to) => `CAST(${inner} AS ${to})`, 'NULL') + ` AS ${quoteName(name)}`;

const storedColumn = ({ name, type }: TableColumn): string =>
  casts(type).reduce((inner, to) => `CAST(${inner} AS ${to})`, quoteName(name)) + ` AS ${quoteName(name)}`;

/** The column's own type first, because a file may hold a wider one (DuckDB writes a HUGEINT to Parquet as DOUBLE). */
function casts(own: string): string[] {
  const decimal = /^DECIMAL\(\d{1,2},(\d{1,2})\)$/.exec(own);
  if (decimal) return [own, `DECIMAL(38,${decimal[1]})`];
  if (own === 'HUGEINT' || own === 'UHUGEINT') return [own, 'DECIMAL(38,0)'];
  if (own === 'UUID' || own === 'JSON') return [own, 'VARCHAR'];
  return own.startsWith('ENUM(') ? ['VARCHAR'] : [own];
}

/** DuckDB would read `*`, `?` and `[` as a pattern. */
function checkPath(path: string, lakeRoot: string): void {
  if (!path.startsWith(`${lakeRoot}/`) || path.includes('/../') || /[*?[\]]/.test(path))
    throw new DomainError('internal', 'A recorded file lies outside the lake.', { path });
}
