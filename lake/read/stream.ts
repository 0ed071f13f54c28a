import { DomainError } from '../../domain/errors.js';
import type { ReadDatabase } from './database.js';
import { frameAt } from './message.js';
import type { FromWorker } from './messages.js';
import type { QueryPlan } from './query.js';
import type { Thread } from './thread.js';

/** How many batches of a stream may exist at once, from DuckDB to the socket: its back-pressure. */
const creditsMax = 4;
/** A query notices an interruption only once it runs, so it is repeated; milliseconds. */
const interruptEveryMs = 20;

let nextStream = 1;

/** A ready gRPC frame. */
export interface Batch {
  readonly frame: Buffer;
  /** To be called once, when the frame was written: its memory is then filled with the next one. */
  release(): void;
}

/**
 * The batches of one query, in order; throws what DuckDB says. Leaving it, however that happens, waits until the thread
 * has freed the query. The connection is interrupted only while an answer is owed, because then it is still open.
 */
export async function* streamOf(
  database: ReadDatabase,
  thread: Thread,
  plan: QueryPlan,
  signal: AbortSignal,
): AsyncGenerator<Batch, void, void> {
  const stream = nextStream++;
  const flag = new SharedArrayBuffer(4);
  const answered: FromWorker[] = [];
  let owed = 0;
  let closed = false;
  let wake: () => void = () => undefined;
  const changed = () => new Promise<void>((resolve) => (wake = resolve));
  const cancelled = () => new DomainError('cancelled', 'The read was cancelled.');

  let finishing = false;
  const pull = (spare?: ArrayBuffer): void => {
    if (finishing) return;
    owed++;
    thread.post({ type: 'pull', stream, spare }, spare && [spare]);
  };
  const onAnswer = (answer: FromWorker): void => {
    if (answer.type === 'closed') closed = true;
    else {
      owed--;
      answered.push(answer);
    }
    wake();
  };

  async function* batches(): AsyncGenerator<Batch, void, void> {
    for (;;) {
      if (signal.aborted) throw cancelled();
      const answer = answered.shift();
      if (!answer) {
        if (closed) throw new DomainError('internal', 'A reading thread ended.');
        await changed();
      } else if (answer.type === 'batch') {
        const { memory, end } = answer.frame;
        yield { frame: Buffer.from(memory, frameAt, end - frameAt), release: () => pull(memory) };
      } else if (answer.type === 'failed') {
        const { code, detail, data } = answer.failure;
        throw new DomainError(code, detail, data);
      } else return;
    }
  }

  async function finish(connection: number): Promise<void> {
    finishing = true;
    Atomics.store(new Int32Array(flag), 0, 1);
    while (owed > 0 && !closed) {
      database.interrupt(connection);
      const again = setTimeout(() => wake(), interruptEveryMs);
      await changed();
      clearTimeout(again);
    }
    if (closed) return database.disconnect(connection); // The thread is gone and cannot.
    thread.post({ type: 'close', stream });
    while (!closed) await changed();
  }

  const onAbort = () => wake();
  const connection = database.connect();
  thread.attach(stream, onAnswer);
  signal.addEventListener('abort', onAbort);
  try {
    thread.post({ type: 'open', stream, connection, plan, cancelled: flag });
    for (let credit = 0; credit < creditsMax; credit++) pull();
    yield* batches();
  } finally {
    signal.removeEventListener('abort', onAbort);
    await finish(connection);
    thread.detach(stream);
  }
}
