import { DomainError } from '../../domain/errors.js';
import type { TableColumn } from '../../domain/tables.js';
import { planColumns } from './columns.js';
import { openReadDatabase, type DatabaseOptions } from './database.js';
import { schemaMessage } from './schema.js';
import { readSql } from './sql.js';
import { streamOf, type Batch } from './stream.js';
import { createThread } from './thread.js';

export interface ReaderOptions extends DatabaseOptions {
  /** Threads that copy; each serves several streams in turns. */
  readonly workers: number;
}

export interface ReadRequest {
  /** Absolute paths under the root of the lake, in the order in which they are read, with the rows they are recorded to hold. */
  readonly files: readonly { readonly path: string; readonly rows: number }[];
  readonly columns: readonly TableColumn[];
  readonly orderBy?: readonly string[];
  readonly signal: AbortSignal;
}

/** Parquet files of the lake as Arrow, ready to be sent. */
export interface Reader {
  /** The bare flatbuffer Message; throws `type_unsupported`. */
  schema(columns: readonly TableColumn[]): Buffer;
  /** Record batches as gRPC frames; whatever goes wrong is thrown, so a normal end means that every row was there. */
  stream(request: ReadRequest): AsyncGenerator<Batch, void, void>;
  /** Streams that hold a connection. */
  activeStreams(): number;
  /** Cancels what is still read, waits for it, and ends the threads. Every stream must be read on or left by its consumer. */
  close(): Promise<void>;
}

export const workersDefault = 2;

/** Resolves when every thread is warm. */
export async function createReader(options: ReaderOptions): Promise<Reader> {
  const database = openReadDatabase(options);
  const threads = Array.from({ length: Math.max(1, options.workers) }, createThread);
  await Promise.all(threads.map((thread) => thread.start()));
  const activeStreams = () => threads.reduce((sum, thread) => sum + thread.streams(), 0);
  const closing = new AbortController();
  const open = new Set<Promise<void>>();
  const idlest = () => threads.reduce((least, thread) => (thread.streams() < least.streams() ? thread : least));

  return {
    schema: schemaMessage,
    async *stream({ files, columns, orderBy = [], signal }) {
      const planned = planColumns(columns);
      for (const { path } of files) checkPath(path, options.lakeRoot);
      const read = files.filter(({ rows }) => rows > 0);
      if (read.length === 0) return;
      const sql = readSql(
        read.map(({ path }) => path),
        planned,
        orderBy,
      );
      const rows = read.reduce((sum, file) => sum + file.rows, 0);
      const plan = { sql, columns: planned, rows, lakeRoot: options.lakeRoot };
      let ended: () => void = () => undefined;
      const end = new Promise<void>((resolve) => (ended = resolve));
      open.add(end);
      try {
        yield* streamOf(database, idlest(), plan, AbortSignal.any([signal, closing.signal]));
      } finally {
        open.delete(end);
        ended();
      }
    },
    activeStreams,
    async close() {
      closing.abort();
      await Promise.all(open);
      await Promise.all(threads.map((thread) => thread.stop()));
      database.close();
    },
  };
}

/** DuckDB would read `*`, `?` and `[` as a pattern. */
function checkPath(path: string, lakeRoot: string): void {
  if (!path.startsWith(`${lakeRoot}/`) || path.includes('/../') || /[*?[\]]/.test(path))
    throw new DomainError('internal', 'A recorded file lies outside the lake.', { path });
}
