import { createThread, type Thread } from './thread.js';

export interface PoolOptions {
  /** Threads that are always there. */
  readonly warm: number;
  /** From there on they are shared. */
  readonly max: number;
}

/**
 * Threads of which everybody gets one alone: DuckDB's calls block, and nobody's may hold up another's. Beyond `max` the least busy
 * one is shared. What is not needed for a while is ended.
 */
export interface Pool {
  /** Resolves when the warm ones are ready. */
  start(): Promise<void>;
  /** To be used at once. */
  take(): Thread;
  /** Streams of all threads. */
  streams(): number;
  stop(): Promise<void>;
}

const idleMs = 10_000;

export function createPool({ warm, max }: PoolOptions): Pool {
  let threads = Array.from({ length: warm }, createThread);
  let idleBefore = new Set<Thread>();
  const isIdle = (thread: Thread): boolean => thread.work() === 0;

  /** Ends what was idle at the last look as well, but for the warm ones. */
  function shrink(): void {
    const spare = threads.slice(warm).filter(isIdle);
    const ended = spare.filter((thread) => idleBefore.has(thread));
    idleBefore = new Set(spare);
    threads = threads.filter((thread) => !ended.includes(thread));
    for (const thread of ended) void thread.stop();
  }
  const shrinking = setInterval(shrink, idleMs).unref();

  return {
    start: async () => void (await Promise.all(threads.map((thread) => thread.start()))),
    take() {
      const idle = threads.find(isIdle);
      if (idle) return idle;
      if (threads.length >= max) return threads.reduce((least, one) => (one.work() < least.work() ? one : least));
      const added = createThread();
      threads.push(added);
      return added;
    },
    streams: () => threads.reduce((sum, thread) => sum + thread.streams(), 0),
    async stop() {
      clearInterval(shrinking);
      await Promise.all(threads.map((thread) => thread.stop()));
    },
  };
}
