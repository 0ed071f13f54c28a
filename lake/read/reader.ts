import { startClock, timeoutAfter } from './clock.js';
import { createConnections } from './connections.js';
import { openReadDatabase, type DatabaseOptions } from './database.js';
import { ofPlan } from './failure.js';
import type { Question, Questions } from './messages.js';
import type { Compression, Description, ReadPlan } from './plan.js';
import { createPool } from './pool.js';
import { streamOf, type Batch, type ReadOn } from './stream.js';

export interface ReaderOptions extends DatabaseOptions {
  /** Threads that are always there for streams; more are started when they are busy. */
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
/**
 * Up to so many of DuckDB's threads a scan is read without them: the thread that fetches would wait for them actively, which
 * costs a third more than scanning alone.
 */
const scanThreadsMax = 2;
/** A thread takes some 15 MB. */
const streamThreadsMax = 16;
const questionThreadsMax = 4;
/** Preparing a statement is quick, unless somebody makes it compute constants. */
const questionMaxMs = 30_000;

/** Resolves when every thread is warm. */
export async function createReader(options: ReaderOptions): Promise<Reader> {
  const { lakeRoot } = options;
  const general = openedOn(options);
  const scans = options.threads > scanThreadsMax ? general : openedOn({ ...options, threads: 1, spill: undefined });
  const onOf = ({ scan }: ReadPlan) => (scan ? scans : general);
  const workers = Math.max(1, options.workers);
  const threads = createPool({ warm: workers, max: Math.max(workers, streamThreadsMax) });
  const questionThreads = createPool({ warm: 1, max: questionThreadsMax });
  await Promise.all([threads.start(), questionThreads.start()]);
  const closing = new AbortController();
  const open = new Set<Promise<void>>();

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
    { timeMaxMs = questionMaxMs, on = general }: { readonly timeMaxMs?: number; readonly on?: ReadOn } = {},
  ): Promise<Questions[Name]['answer']> {
    const lent = on.connections.lend(asked);
    const clock = startClock(timeMaxMs, () => on.database.interrupt(lent.connection));
    try {
      const { answer, prepared } = await underway(questionThreads.take().ask(question, asked, { lent, lakeRoot }));
      clock.stop();
      on.connections.giveBack(lent, prepared);
      return answer;
    } catch (error) {
      clock.stop();
      on.connections.end(lent);
      throw clock.isLate() ? timeoutAfter(timeMaxMs) : error;
    }
  }

  return {
    describe: (plan) =>
      ask('describe', plan, {
        timeMaxMs: Math.min(plan.timeMaxMs ?? questionMaxMs, questionMaxMs),
        on: onOf(plan),
      }).catch((error: unknown) => {
        throw ofPlan(plan, error);
      }),
    text: (sql, values, setup = []) => ask('text', { setup, sql, values }),
    async *read(plan, { signal, compression = 'none' }) {
      let ended: () => void = () => undefined;
      const end = new Promise<void>((resolve) => (ended = resolve));
      open.add(end);
      try {
        const either = AbortSignal.any([signal, closing.signal]);
        yield* streamOf(onOf(plan), threads.take(), { plan, lakeRoot, compression }, either);
      } catch (error) {
        throw ofPlan(plan, error);
      } finally {
        open.delete(end);
        ended();
      }
    },
    activeStreams: threads.streams,
    async close() {
      closing.abort();
      await Promise.all(open);
      await Promise.all([threads.stop(), questionThreads.stop()]);
      for (const on of new Set([general, scans])) closeOn(on);
    },
  };
}

function openedOn(options: DatabaseOptions): ReadOn {
  const database = openReadDatabase(options);
  return { database, connections: createConnections(database) };
}

function closeOn({ database, connections }: ReadOn): void {
  connections.close();
  database.close();
}
