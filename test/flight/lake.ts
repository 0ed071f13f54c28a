import { mkdtempSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { DomainError } from '../../domain/errors.js';
import { defaultProject } from '../../domain/ids.js';
import type { PinnedTable, TableColumn, TableReader, TableSchema } from '../../domain/tables.js';
import { quoteText } from '../../lake/duckdb.js';

export interface TableOptions {
  readonly schema?: TableSchema;
  readonly snapshot?: number;
  /** Declared instead of what the file has. */
  readonly types?: Readonly<Record<string, string>>;
}

/** A lake in a temporary folder whose catalogue is a list: real Parquet files, made by DuckDB. */
export interface TestLake {
  readonly root: string;
  readonly reader: TableReader;
  /** Writes one file for each query and adds the table that they are. */
  add(name: string, queries: readonly string[], options?: TableOptions): Promise<PinnedTable>;
  pathsOf(table: PinnedTable): string[];
  /** All rows of a statement, as text. */
  rows(sql: string): Promise<Record<string, string>[]>;
  remove(): void;
}

export async function createTestLake(): Promise<TestLake> {
  const root = mkdtempSync(join(tmpdir(), 'eider-lake-'));
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'");
  const tables: PinnedTable[] = [];
  const rows = async (sql: string) =>
    (await connection.runAndReadAll(sql)).getRowObjectsJson() as Record<string, string>[];
  const pathsOf = ({ files }: PinnedTable) => files.map(({ key }) => join(root, key));

  async function writeFile(key: string, query: string) {
    const path = join(root, key);
    mkdirSync(dirname(path), { recursive: true });
    await connection.run(`COPY (${query}) TO ${quoteText(path)} (FORMAT parquet)`);
    const [counted] = await rows(`SELECT count(*) AS n FROM read_parquet(${quoteText(path)})`);
    return { key, rows: Number(counted?.['n']), bytes: statSync(path).size };
  }

  return {
    root,
    reader: memoryTables(tables),
    pathsOf,
    rows,
    async add(name, queries, { schema = 'features', snapshot = 1, types = {} } = {}) {
      const files = [];
      for (const [index, query] of queries.entries())
        files.push(await writeFile(`${schema}/${name}/s${snapshot}/${index}.parquet`, query));
      const described = queries[0] === undefined ? [] : await rows(`DESCRIBE ${queries[0]}`);
      const stored = files[0] ? await rows(`DESCRIBE FROM read_parquet(${quoteText(join(root, files[0].key))})`) : [];
      const columns: TableColumn[] = (stored.length > 0 ? stored : described).map((column) => {
        const columnName = column['column_name'] as string;
        return { name: columnName, type: types[columnName] ?? (column['column_type'] as string) };
      });
      if (files.length === 0) columns.push(...Object.entries(types).map(([column, type]) => ({ name: column, type })));
      const table: PinnedTable = {
        project: defaultProject,
        ...{ schema, name, revision: 1, snapshot, rowHash: null, columns, files },
        rows: files.reduce((sum, file) => sum + file.rows, 0),
        bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      };
      tables.push(table);
      return table;
    },
    remove() {
      connection.closeSync();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** The newest snapshot of a name is the one that was added last. */
function memoryTables(tables: readonly PinnedTable[]): TableReader {
  const named = (schema: TableSchema, name: string): PinnedTable[] => {
    const found = tables.filter((table) => table.schema === schema && table.name === name);
    if (found.length === 0) throw new DomainError('table_unknown', `There is no "${name}" under ${schema}.`, { name });
    return found;
  };
  return {
    list: (_project, schema) =>
      Promise.resolve(tables.filter((table) => schema === undefined || table.schema === schema)),
    async resolve(_project, schema, name) {
      const [, base = name, snapshot] = /^(.+)@s(\d+)$/.exec(name) ?? [];
      const found = named(schema, base).findLast((table) => !snapshot || table.snapshot === Number(snapshot));
      if (!found) throw new DomainError('snapshot_unknown', `"${base}" has no snapshot ${snapshot}.`, { name });
      return found;
    },
    async at(_project, schema, name, _revision, snapshot) {
      const found = named(schema, name).find((table) => table.snapshot === snapshot);
      if (!found) throw new DomainError('snapshot_unknown', `"${name}" has no snapshot ${snapshot}.`, { name });
      return found;
    },
    promise: () => Promise.resolve(),
    lease: () => Promise.resolve({ renew: () => Promise.resolve(), release: () => Promise.resolve() }),
    ticketKey: () => Promise.resolve(Buffer.alloc(32, 7)),
  };
}
