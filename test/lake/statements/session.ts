import { tableFromIPC } from 'apache-arrow';
import { defaultProject, type ProjectName } from '../../../domain/ids.js';
import type { TableSchema } from '../../../domain/tables.js';
import { createReader, type Reader } from '../../../lake/read/reader.js';
import { encapsulated } from '../../../lake/read/schema.js';
import {
  statements,
  type Parameter,
  type PinnedStatement,
  type Statements,
} from '../../../lake/statements/statements.js';
import { framedMessage } from './frames.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';

/** A lake, and statements that are read from it as Flight would. */
export interface StatementSession {
  readonly lake: TestLake;
  readonly reader: Reader;
  readonly statements: Statements;
  pin(sql: string, on?: { readonly project?: ProjectName; readonly schema?: TableSchema }): Promise<PinnedStatement>;
  /** Pins and reads: each row as DuckDB writes it as a text. */
  rows(sql: string, parameters?: readonly Parameter[], schema?: TableSchema): Promise<string[]>;
  read(statement: PinnedStatement, parameters?: readonly Parameter[]): Promise<string[]>;
  close(): Promise<void>;
}

export const timeMaxMs = 20_000;

export async function openSession(): Promise<StatementSession> {
  const lake = await createTestLake();
  const reader = await createReader({ lakeRoot: lake.root, threads: 2, memoryLimit: '512MB', workers: 2 });
  const opened = statements({ reader, tables: lake.reader, lakeRoot: lake.root, timeMaxMs });
  const pin: StatementSession['pin'] = (sql, on = {}) => opened.pin(sql, { project: defaultProject, ...on });

  const read: StatementSession['read'] = async (statement, parameters = []) => {
    const plan = statement.plan(parameters);
    const messages = [];
    for await (const { frame, release } of reader.read(
      { ...plan, sql: `SELECT CAST(struct_values(q) AS VARCHAR) AS row FROM (${plan.sql}) AS q` },
      { signal: new AbortController().signal },
    )) {
      const { header, body } = framedMessage(frame);
      messages.push(Buffer.concat([encapsulated(header), body]));
      release();
    }
    const rows = tableFromIPC(Buffer.concat(messages)).toArray() as { toJSON(): { row: string } }[];
    return rows.map((row) => row.toJSON().row);
  };

  return {
    ...{ lake, reader, statements: opened, pin, read },
    rows: async (sql, parameters, schema) => read(await pin(sql, schema === undefined ? {} : { schema }), parameters),
    async close() {
      await reader.close();
      lake.remove();
    },
  };
}
