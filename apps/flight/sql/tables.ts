import { Field, Null, Schema } from 'apache-arrow';
import { isDomainError } from '../../../domain/errors.js';
import { tableSchemas, type PinnedTable, type TableColumn, type TableReader } from '../../../domain/tables.js';
import { encapsulated } from '../../../lake/read/schema.js';
import type { Description } from '../../../lake/read/plan.js';
import type { Reader } from '../../../lake/read/reader.js';
import { tablePlan } from '../../../lake/read/table.js';
import type { Call } from '../call.js';
import { describedSchema, encodedSchema, type ColumnOwner } from './columns.js';
import type { SqlMessages } from './messages.js';
import { matcher, nameIn } from './patterns.js';
import type { Row } from './ready.js';

export interface TableListDeps {
  readonly tables: TableReader;
  readonly reader: Pick<Reader, 'describe'>;
  readonly lakeRoot: string;
  readonly described: DescribedColumns;
}

/** What DuckDB said of columns, by the columns; null: a type among them cannot be sent. */
export type DescribedColumns = Map<string, Description | null>;
const describedMax = 1_000;

/** Views and training sets alike: rows that are there. */
export const tableType = 'TABLE';

/**
 * CommandGetTables: the tables of the call's project by their plain names. A revision or a snapshot, such as `VIEW@r2`, is
 * listed when the pattern names it.
 */
export async function tableRows(
  deps: TableListDeps,
  asked: SqlMessages['CommandGetTables'],
  { project }: Pick<Call, 'project'>,
): Promise<Row[]> {
  const { catalog, table_types: types, table_name_filter_pattern: pattern } = asked;
  if ((catalog !== undefined && catalog !== project) || (types.length > 0 && !types.includes(tableType))) return [];
  const inSchema = matcher(asked.db_schema_filter_pattern);
  const named = matcher(pattern);
  const listed = (await deps.tables.list(project))
    .filter(({ schema, name }) => inSchema(schema) && named(name))
    .map((table) => ({ table, name: table.name }));
  const found = [...listed, ...(pattern?.includes('@') ? await momentsOf(deps, project, pattern, inSchema) : [])];
  const rows = found.map(({ table, name }) => ({
    catalog_name: project,
    db_schema_name: table.schema,
    table_name: name,
    table_type: tableType,
    table,
  }));
  rows.sort((a, b) => compare(a.db_schema_name, b.db_schema_name) || compare(a.table_name, b.table_name));
  if (!asked.include_schema) return rows;
  return withSchemas(deps, rows);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

interface TableRow extends Row {
  readonly catalog_name: string;
  readonly table_name: string;
  readonly table: PinnedTable;
}

/** One after the other: DuckDB is asked for each. */
async function withSchemas(deps: TableListDeps, rows: readonly TableRow[]): Promise<Row[]> {
  const complete: Row[] = [];
  for (const row of rows) {
    const owner = { catalog: row.catalog_name, schema: row.table.schema, table: row.table_name };
    const schema = await tableSchema(deps, row.table.columns, owner);
    complete.push({ ...row, table_schema: encapsulated(encodedSchema(schema)) });
  }
  return complete;
}

/** Tables at a revision or a snapshot that the pattern names. */
async function momentsOf(
  { tables }: TableListDeps,
  project: Call['project'],
  pattern: string,
  inSchema: (name: string) => boolean,
): Promise<{ table: PinnedTable; name: string }[]> {
  const name = nameIn(pattern);
  const found = await Promise.all(
    tableSchemas.filter(inSchema).map((schema) =>
      tables.resolve(project, schema, name).catch((error: unknown) => {
        if (isDomainError(error) && error.row.http < 500) return null;
        throw error;
      }),
    ),
  );
  return found.flatMap((table) => (table ? [{ table, name }] : []));
}

/** What a statement would see, from the declared columns alone: no file is opened. */
async function tableSchema(deps: TableListDeps, columns: readonly TableColumn[], owner: ColumnOwner): Promise<Schema> {
  const described = await describe(deps, columns);
  if (described) return describedSchema(described, owner);
  const fields: Field[] = [];
  for (const column of columns) {
    const alone = await describe(deps, [column]);
    fields.push(...(alone ? describedSchema(alone, owner).fields : [unsendable(column)]));
  }
  return new Schema(fields);
}

const unsendable = ({ name, type }: TableColumn): Field =>
  new Field(name, new Null(), true, new Map([['ARROW:FLIGHT:SQL:TYPE_NAME', type]]));

async function describe(deps: TableListDeps, columns: readonly TableColumn[]): Promise<Description | null> {
  const { described } = deps;
  const key = JSON.stringify(columns.map(({ name, type }) => [name, type]));
  const known = described.get(key);
  if (known !== undefined) return known;
  const description = await ask(deps, columns);
  const [oldest] = described.keys();
  if (described.size >= describedMax && oldest !== undefined) described.delete(oldest);
  described.set(key, description);
  return description;
}

async function ask({ reader, lakeRoot }: TableListDeps, columns: readonly TableColumn[]): Promise<Description | null> {
  try {
    return await reader.describe(tablePlan({ columns, files: [] }, lakeRoot));
  } catch (error) {
    if (isDomainError(error) && error.code === 'type_unsupported') return null;
    throw error;
  }
}
