import { join } from 'node:path';
import { DomainError } from '../../domain/errors.js';
import type { PinnedTable, TableColumn, TableFile } from '../../domain/tables.js';
import { notBelow } from '../pushes.js';
import { quoteName, quoteText } from '../quoting.js';
import type { ReadPlan } from './plan.js';
import { isTypeName } from './type-name.js';

type Files = Pick<PinnedTable, 'columns' | 'files' | 'corrections'>;

/** The table's rows in the order of its files, as the columns that it declares, without those that were corrected. */
export function tablePlan(table: Files, lakeRoot: string): ReadPlan {
  return {
    setup: [],
    scan: !table.corrections,
    sql: tableRelation(table, lakeRoot),
    files: table.files.map(({ key }) => join(lakeRoot, key)),
    rows: table.corrections ? null : table.files.reduce((sum, { rows }) => sum + rows, 0),
  };
}

/** The same as one SELECT, to stand in a larger one. No text of a client is in it. */
export function tableRelation({ columns, files, corrections }: Files, lakeRoot: string): string {
  if (!corrections) return filesRelation(columns, files, lakeRoot);
  const { first, end } = corrections;
  const parts = [files.slice(0, first), files.slice(end)].map((plain) => filesRelation(columns, plain, lakeRoot));
  const corrected = correctedRelation({ columns, files: files.slice(first, end), corrections }, lakeRoot);
  return [parts[0], corrected, parts[1]].join(' UNION ALL ');
}

function filesRelation(
  columns: readonly TableColumn[],
  files: readonly TableFile[],
  lakeRoot: string,
  more = '',
): string {
  const read = files.filter(({ rows }) => rows > 0).map(({ key }) => join(lakeRoot, key));
  for (const path of read) checkPath(path, lakeRoot);
  if (read.length === 0) return `SELECT ${columns.map(emptyColumn).join(', ')}${more && noPlace} WHERE false`;
  const from = `read_parquet([${read.map(quoteText).join(', ')}], hive_partitioning = false)`;
  return `SELECT ${columns.map(storedColumn).join(', ')}${more} FROM ${from}`;
}

/** DuckDB's own columns of a Parquet file, unless the file has columns of these names. */
const ownNames = ['file_index', 'file_row_number'];
const noPlace = ', 0 AS "#file", 0 AS "#row"';

/**
 * The sources' rows that no pushed one corrects, and the pushed ones, sorted by their places: a join keeps no order. Of columns
 * with the names of the places the order of the rows is that of their content, which is one as well.
 */
function correctedRelation({ columns, files, corrections }: Required<Files>, lakeRoot: string): string {
  const taken = columns.some(({ name }) => ownNames.includes(name.toLowerCase()));
  const lane = (pushed: boolean) => {
    const some = files
      .map((file, at) => ({ ...file, at }))
      .filter((file) => file.rows > 0 && (file.lane === 'pushes') === pushed);
    const place = `, [${some.map(({ at }) => at).join(', ')}][file_index::BIGINT + 1] AS "#file", file_row_number AS "#row"`;
    return `(${filesRelation(columns, some, lakeRoot, taken ? noPlace : place)})`;
  };
  const names = columns.map(({ name }) => quoteName(name)).join(', ');
  const order = taken ? `${quoteName(corrections.eventTime)}, ${names}` : '"#file", "#row"';
  const pushed = lane(true);
  return `(SELECT ${names} FROM (SELECT * FROM ${notBelow(lane(false), pushed, corrections)} UNION ALL SELECT * FROM ${pushed}) ORDER BY ${order})`;
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
