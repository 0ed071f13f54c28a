import { DuckDBDataChunk, type DuckDBAppender, type DuckDBValue } from '@duckdb/node-api';
import { RecordBatchReader, type Data, type Field, type RecordBatch } from 'apache-arrow';
import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import { DomainError } from '../domain/errors.js';
import { spineLimits, type ArrowForm } from '../domain/spines.js';
import { columnType, type ColumnType } from './arrow-types.js';
import { quoteName, type Session } from './duckdb.js';

interface Taken extends ColumnType {
  readonly name: string;
}

const chunkRows = 2048;

/** Reads an Arrow IPC file or stream into a temporary table of the session. Throws `spine_invalid`, `request_too_large`. */
export async function readArrow(session: Session, table: string, path: string, form: ArrowForm): Promise<void> {
  const file = form === 'file' ? await open(path) : null;
  try {
    const reader = await openReader(path, file).catch(refused);
    if (!reader.schema) throw new DomainError('spine_invalid', 'The upload is no Arrow table.');
    const columns = columnsOf(reader.schema.fields);
    const declared = columns.map(({ name, sql }) => `${quoteName(name)} ${sql}`);
    await session.run(`CREATE OR REPLACE TEMP TABLE ${table} (${declared.join(', ')})`);
    const appender = await session.connection.createAppender(table);
    let rows = 0;
    for await (const batch of guarded(reader as AsyncIterable<RecordBatch>)) {
      rows += batch.numRows;
      if (rows > spineLimits.uploadedRows)
        throw new DomainError('request_too_large', `The table has more than ${spineLimits.uploadedRows} rows.`, { limit: spineLimits.uploadedRows }); // prettier-ignore
      await append(appender, columns, batch);
    }
    appender.closeSync();
  } finally {
    await file?.close();
  }
}

async function openReader(path: string, file: FileHandle | null): Promise<RecordBatchReader> {
  const reader = await (file ? RecordBatchReader.from(file) : RecordBatchReader.from(createReadStream(path)));
  await reader.open();
  return reader;
}

/** What the reader cannot make sense of is a mistake of the sender's, never ours. */
const refused = (error: unknown): never => {
  throw new DomainError('spine_invalid', `The upload does not read as Arrow IPC: ${(error as Error).message}.`, {}, { cause: error }); // prettier-ignore
};

async function* guarded(batches: AsyncIterable<RecordBatch>): AsyncGenerator<RecordBatch> {
  const iterator = batches[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next().catch(refused);
    if (next.done) return;
    yield next.value;
  }
}

function columnsOf(fields: readonly Field[]): Taken[] {
  if (fields.length === 0 || fields.length > spineLimits.columns)
    throw new DomainError('spine_invalid', `The table has ${fields.length} columns; 1 to ${spineLimits.columns} are taken.`); // prettier-ignore
  const columns = fields.map((field) => ({ name: field.name, ...columnType(field) }));
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  if (names.size < columns.length || names.has(''))
    throw new DomainError('spine_invalid', 'The columns need distinct names; DuckDB does not tell upper from lower case.'); // prettier-ignore
  return columns;
}

async function append(appender: DuckDBAppender, columns: readonly Taken[], batch: RecordBatch): Promise<void> {
  for (let from = 0; from < batch.numRows; from += chunkRows) {
    const count = Math.min(chunkRows, batch.numRows - from);
    const chunk = DuckDBDataChunk.create(columns.map(({ type }) => type), count); // prettier-ignore
    columns.forEach(({ name, read }, at) => {
      try {
        chunk.setColumnValues(at, valuesOf(batch.data.children[at] as Data, read, from, count));
      } catch (error) {
        throw new DomainError('spine_invalid', `Column "${name}": ${(error as Error).message}.`, { column: name }, { cause: error }); // prettier-ignore
      }
    });
    appender.appendDataChunk(chunk);
    // The process has others to serve.
    await breathe();
  }
}

function valuesOf(data: Data, read: ColumnType['read'], from: number, count: number): DuckDBValue[] {
  const value = read(data);
  return Array.from({ length: count }, (_, row) => (data.getValid(from + row) ? value(from + row) : null));
}
