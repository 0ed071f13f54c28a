import { parentPort } from 'node:worker_threads';
import { loadCodec } from './compression.js';
import { failureOf, type Failure } from './failure.js';
import { destroyPrepared, type Lent } from './connections.js';
import { library } from './library.js';
import type { FromWorker, ToWorker } from './messages.js';
import { answers } from './questions.js';
import { Query } from './query.js';

/** A thread that reads: DuckDB is called synchronously, one batch a message, so streams of one thread take turns. */
interface Stream {
  readonly lent: Lent;
  readonly open: () => Query;
  query: Query | null;
  /** After a failure every further pull is answered with it. */
  failure: Failure | null;
}

if (!parentPort) throw new Error('This file is the entry of a worker thread.');
const port = parentPort;
const streams = new Map<number, Stream>();
const post = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

function pull(stream: number, spare: ArrayBuffer | undefined): void {
  const held = streams.get(stream);
  if (!held) return; // It came when the end had been told.
  try {
    if (held.failure) return post({ type: 'failed', stream, failure: held.failure });
    held.query ??= held.open();
    const frame = held.query.next(spare);
    if (frame) post({ type: 'batch', stream, frame }, [frame.memory]);
    else {
      post({ type: 'end', stream });
      close(stream);
    }
  } catch (error) {
    held.failure = failureOf(error);
    post({ type: 'failed', stream, failure: held.failure });
  }
}

function close(stream: number): void {
  const held = streams.get(stream);
  if (!held) return;
  streams.delete(stream);
  if (held.query) held.query.close();
  else if (!held.failure && held.lent.prepared !== 0) destroyPrepared(held.lent.prepared);
  post({ type: 'closed', stream });
}

function answer({ call, lent, lakeRoot, question, ask }: Extract<ToWorker, { type: 'ask' }>): void {
  try {
    const say = answers[question] as (asked: object, ask: unknown) => { answer: unknown; prepared: number };
    post({ type: 'answered', call, ...say({ lent, lakeRoot }, ask) });
  } catch (error) {
    post({ type: 'refused', call, failure: failureOf(error) });
  }
}

/** What comes meanwhile waits, in its order. */
let loading: Promise<void> | null = null;

port.on('message', (message: ToWorker) => {
  if (message.type === 'open') loading ??= loadCodec(message.compression);
  if (loading === null) handle(message);
  else void loading.then(() => handle(message));
});

function handle(message: ToWorker): void {
  switch (message.type) {
    case 'open': {
      const flag = new Int32Array(message.cancelled);
      const { lent, stream, pulls } = message;
      const open = () => new Query(lent, message, () => Atomics.load(flag, 0) === 1);
      streams.set(stream, { lent, open, query: null, failure: null });
      for (let pulled = 0; pulled < pulls; pulled++) pull(stream, undefined);
      break;
    }
    case 'pull':
      pull(message.stream, message.spare);
      break;
    case 'close':
      close(message.stream);
      break;
    case 'ask':
      answer(message);
      break;
    case 'stop':
      port.close();
      break;
  }
}

library();
post({ type: 'ready' });
