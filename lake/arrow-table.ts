import { DuckDBDataChunk, type DuckDBAppender, type DuckDBValue } from '@duckdb/node-api';
import { Message, RecordBatchReader, type Data, type Field, type RecordBatch } from 'apache-arrow';
import { createReadStream, type ReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Column } from '../domain/features.js';
import { spineLimits, type ArrowForm } from '../domain/spines.js';
import { columnType, type ColumnType } from './arrow-types.js';
import { quoteName, type Session } from './duckdb.js';

interface Taken extends ColumnType {
  readonly name: string;
}

const chunkRows = 2048;

/** An Arrow table as it arrives, batch by batch. */
export interface ArrowRows {
  /** With DuckDB's names of the types. */
  readonly columns: readonly Column[];
  readonly batches: AsyncGenerator<RecordBatch>;
  /** Makes an empty temporary table of these columns, in the place of one of its name, to be filled. */
  table(session: Session, name: string): Promise<ArrowAppender>;
}

export interface ArrowAppender {
  append(batch: RecordBatch): Promise<void>;
  /** To be called once; then the rows are there. */
  close(): void;
}

/** Reads an Arrow IPC file or stream into a temporary table of the session. Throws `spine_invalid`, `request_too_large`. */
export async function readArrow(session: Session, table: string, path: string, form: ArrowForm): Promise<void> {
  const file = form === 'file' ? await open(path) : null;
  const stream = file ? null : createReadStream(path);
  try {
    const { batches, table: emptyTable } = await openArrow(file ?? (stream as ReadStream));
    const rows = await emptyTable(session, table);
    let count = 0;
    for await (const batch of batches) {
      count += batch.numRows;
      if (count > spineLimits.uploadedRows)
        throw new DomainError('request_too_large', `The table has more than ${spineLimits.uploadedRows} rows.`, { limit: spineLimits.uploadedRows }); // prettier-ignore
      await rows.append(batch);
    }
    rows.close();
  } finally {
    await file?.close();
    // Arrow leaves it open when it refuses what it reads.
    stream?.destroy();
  }
}

/** The table behind a file or a stream of bytes. Throws `spine_invalid`, also while it is read. */
export async function openArrow(source: FileHandle | AsyncIterable<Uint8Array>): Promise<ArrowRows> {
  const reader = await openReader(source).catch(refused);
  return arrowRows(reader, guarded(reader as AsyncIterable<RecordBatch>));
}

/**
 * The table behind messages of Arrow's stream format, each of them whole. Arrow's own reader of a stream that is still coming
 * gives a batch only when the next one has come, for which somebody may wait who waits for what becomes of this one.
 */
export async function openMessages(messages: AsyncIterable<Uint8Array>): Promise<ArrowRows> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  // What each batch is read after: the schema, and the dictionaries so far.
  let before: readonly Uint8Array[] = first.done ? [] : [first.value];
  const batchesOf = (piece: readonly Uint8Array[]) => RecordBatchReader.from(Buffer.concat([...before, ...piece]));
  async function* batches(): AsyncGenerator<RecordBatch> {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      // Arrow's reader makes an empty batch of a stream that has none.
      if (isDictionary(next.value)) before = withinLimit([...before, next.value]);
      else yield* batchesOf([next.value]);
    }
  }
  const opened = await Promise.resolve().then(() => batchesOf([]).open()).catch(refused); // prettier-ignore
  return arrowRows(opened, guarded(batches()));
}

const prefixBytes = 8;
const isDictionary = (message: Uint8Array): boolean =>
  Message.decode(message.subarray(prefixBytes)).isDictionaryBatch();

/** Dictionaries stay as long as the stream lasts. */
const dictionariesBytesMax = 64 * 2 ** 20;
const dictionariesMax = 1_000;

function withinLimit(messages: readonly Uint8Array[]): readonly Uint8Array[] {
  const bytes = messages.reduce((sum, { length }) => sum + length, 0);
  if (bytes <= dictionariesBytesMax && messages.length <= dictionariesMax) return messages;
  throw new DomainError('request_too_large', `The stream has more than ${dictionariesMax} dictionaries, or ${dictionariesBytesMax} bytes of them.`, { limit: dictionariesBytesMax }); // prettier-ignore
}

function arrowRows({ schema }: Pick<RecordBatchReader, 'schema'>, batches: AsyncGenerator<RecordBatch>): ArrowRows {
  if (!schema) throw new DomainError('spine_invalid', 'The upload is no Arrow table.');
  const columns = columnsOf(schema.fields);
  return {
    columns: columns.map(({ name, sql }) => ({ name, type: sql })),
    batches,
    async table(session, name) {
      const declared = columns.map((column) => `${quoteName(column.name)} ${column.sql}`);
      await session.run(`CREATE OR REPLACE TEMP TABLE ${name} (${declared.join(', ')})`);
      const appender = await session.connection.createAppender(name);
      return {
        append: (batch) => append(appender, columns, batch),
        close: () => appender.closeSync(),
      };
    },
  };
}

async function openReader(source: FileHandle | AsyncIterable<Uint8Array>): Promise<RecordBatchReader> {
  const reader = await RecordBatchReader.from(source as AsyncIterable<Uint8Array>);
  await reader.open();
  return reader;
}

/** What the reader cannot make sense of is a mistake of the sender's, never ours. */
const refused = (error: unknown): never => {
  if (isDomainError(error)) throw error;
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
  // Arrow lets a field have no name at all.
  const columns = fields.map((field) => ({ name: (field.name as string | null) ?? '', ...columnType(field) }));
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  if (names.size < columns.length || names.has('') || columns.some(({ name }) => name.includes('\0')))
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
