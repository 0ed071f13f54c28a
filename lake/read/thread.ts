import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { DomainError } from '../../domain/errors.js';
import type { Lent } from './connections.js';
import type { Pointer } from './library.js';
import type { FromWorker, Question, Questions, ToWorker } from './messages.js';

/** One worker thread, seen from outside; a thread that ended is started again by the next stream. */
export interface Thread {
  /** Resolves when DuckDB is loaded there. */
  start(): Promise<void>;
  /** `answer` gets all that concerns the stream, and a failure when the thread ends before its `closed`. */
  attach(stream: number, answer: (message: FromWorker) => void): void;
  detach(stream: number): void;
  post(message: ToWorker, transfer?: ArrayBuffer[]): void;
  /** Throws what the question throws there. */
  ask<Name extends Question>(
    question: Name,
    ask: Questions[Name]['ask'],
    on: { readonly lent: Lent; readonly lakeRoot: string },
  ): Promise<{ readonly answer: Questions[Name]['answer']; readonly prepared: Pointer }>;
  /** How many streams it has. */
  streams(): number;
  /** How many streams and questions it has. */
  work(): number;
  stop(): Promise<void>;
}

/** Little is made there that V8 looks after; its default would let every thread grow by 48 MB. */
const youngMb = 8;

export function createThread(): Thread {
  const answers = new Map<number, (message: FromWorker) => void>();
  const calls = new Map<
    number,
    { resolve(answered: Extract<FromWorker, { type: 'answered' }>): void; reject(error: DomainError): void }
  >();
  let nextCall = 1;
  let worker: Worker | null = null;
  let ready: Promise<void> | null = null;

  function live(): Worker {
    if (worker) return worker;
    const started = new Worker(workerFile(), { resourceLimits: { maxYoungGenerationSizeMb: youngMb } });
    let cause: unknown;
    worker = started;
    ready = new Promise((resolve, reject) => {
      started.once('message', () => resolve());
      started.once('exit', () => reject(ended(cause)));
    });
    ready.catch(() => undefined); // `start` tells; without it the streams do.
    started.on('message', (message: FromWorker) => {
      if ('stream' in message) answers.get(message.stream)?.(message);
      else if ('call' in message) settle(message);
    });
    started.on('error', (error) => (cause = error));
    started.on('exit', () => {
      worker = null;
      const { code, message, data } = ended(cause);
      for (const call of calls.values()) call.reject(ended(cause));
      calls.clear();
      for (const [stream, answer] of answers) {
        answer({ type: 'failed', stream, failure: { code, detail: message, data } });
        answer({ type: 'closed', stream });
      }
    });
    return started;
  }

  function settle(message: Extract<FromWorker, { call: number }>): void {
    const call = calls.get(message.call);
    calls.delete(message.call);
    if (message.type === 'answered') call?.resolve(message);
    else call?.reject(new DomainError(message.failure.code, message.failure.detail, message.failure.data));
  }

  return {
    async start() {
      live();
      await ready;
    },
    attach: (stream, answer) => void answers.set(stream, answer),
    detach: (stream) => void answers.delete(stream),
    post: (message, transfer) => live().postMessage(message, transfer),
    ask: (question, ask, { lent, lakeRoot }) =>
      new Promise((resolve, reject) => {
        const call = nextCall++;
        calls.set(call, { resolve: resolve as (answered: object) => void, reject });
        live().postMessage({ type: 'ask', call, lent, lakeRoot, question, ask } satisfies ToWorker);
      }),
    streams: () => answers.size,
    work: () => answers.size + calls.size,
    async stop() {
      const last = worker;
      if (!last) return;
      const exit = new Promise((resolve) => last.once('exit', resolve));
      last.postMessage({ type: 'stop' } satisfies ToWorker);
      await exit;
    },
  };
}

const ended = (cause: unknown): DomainError => new DomainError('internal', 'A reading thread ended.', {}, { cause });

/** Threads run compiled JavaScript: beside this file in `dist/`; tests run from the sources and take it from there. */
function workerFile(): URL {
  const beside = new URL('./worker.js', import.meta.url);
  return existsSync(fileURLToPath(beside)) ? beside : new URL('../../dist/lake/read/worker.js', import.meta.url);
}
