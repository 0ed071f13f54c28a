import { openReadDatabase, type DatabaseOptions } from './database.js';
import type { Question, Questions } from './messages.js';
import type { Compression, Description, ReadPlan } from './plan.js';
import { streamOf, type Batch } from './stream.js';
import { createThread } from './thread.js';

export interface ReaderOptions extends DatabaseOptions {
  /** Threads that copy; each serves several streams in turns. */
  readonly workers: number;
}

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Default: none. */
  readonly compression?: Compression;
}

/** Parquet files of the lake as Arrow, ready to be sent. */
export interface Reader {
  /** Throws `type_unsupported`, and what DuckDB says of the plan. */
  describe(plan: ReadPlan): Promise<Description>;
  /**
   * The messages of a stream as gRPC frames, the schema first, also when there are no rows. Whatever goes wrong is thrown,
   * so a normal end means that every row was there.
   */
  read(plan: ReadPlan, options: ReadOptions): AsyncGenerator<Batch, void, void>;
  /** Runs a query of ours, with texts for its parameters; the text in the first column of the first row. */
  text(sql: string, values: readonly string[], setup?: readonly string[]): Promise<string>;
  /** Streams that hold a connection. */
  activeStreams(): number;
  /** Cancels what is still read, waits for it, and ends the threads. Every stream must be read on or left by its consumer. */
  close(): Promise<void>;
}

export const workersDefault = 2;

/** Resolves when every thread is warm. */
export async function createReader(options: ReaderOptions): Promise<Reader> {
  const { lakeRoot } = options;
  const database = openReadDatabase(options);
  const threads = Array.from({ length: Math.max(1, options.workers) }, createThread);
  await Promise.all(threads.map((thread) => thread.start()));
  const activeStreams = () => threads.reduce((sum, thread) => sum + thread.streams(), 0);
  const closing = new AbortController();
  const open = new Set<Promise<void>>();
  const idlest = () => threads.reduce((least, thread) => (thread.streams() < least.streams() ? thread : least));

  /** Closing waits for what is under way. */
  async function underway<Result>(work: Promise<Result>): Promise<Result> {
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    open.add(settled);
    return work.finally(() => open.delete(settled));
  }

  async function ask<Name extends Question>(
    question: Name,
    asked: Questions[Name]['ask'],
  ): Promise<Questions[Name]['answer']> {
    const connection = database.connect();
    try {
      return await underway(idlest().ask(question, asked, { connection, lakeRoot }));
    } finally {
      database.disconnect(connection);
    }
  }

  return {
    describe: (plan) => ask('describe', plan),
    text: (sql, values, setup = []) => ask('text', { setup, sql, values }),
    async *read(plan, { signal, compression = 'none' }) {
      let ended: () => void = () => undefined;
      const end = new Promise<void>((resolve) => (ended = resolve));
      open.add(end);
      try {
        const either = AbortSignal.any([signal, closing.signal]);
        yield* streamOf(database, idlest(), { plan, lakeRoot, compression }, either);
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
