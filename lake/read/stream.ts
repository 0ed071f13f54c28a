import { DomainError } from '../../domain/errors.js';
import type { Frame } from './batch.js';
import { interruptEveryMs, Stopwatch, timeoutAfter } from './clock.js';
import type { ReadDatabase } from './database.js';
import type { Connections, Lent } from './connections.js';
import { frameAt } from './message.js';
import type { FromWorker } from './messages.js';
import type { Compression, ReadPlan } from './plan.js';
import type { Thread } from './thread.js';

/** How many batches of a stream may exist at once, from DuckDB to the socket: its back-pressure. */
const creditsMax = 4;
let nextStream = 1;

export interface ThreadRead {
  readonly plan: ReadPlan;
  readonly lakeRoot: string;
  readonly compression: Compression;
}

export interface ReadOn {
  readonly database: ReadDatabase;
  readonly connections: Connections;
}

/** A ready gRPC frame. */
export interface Batch {
  readonly frame: Buffer;
  /** To be called once, when the frame was written: its memory is then filled with the next one. */
  release(): void;
}

/**
 * The batches of one query, in order; throws what DuckDB says. Leaving it, however that happens, waits until the thread
 * has freed the query.
 */
export async function* streamOf(
  on: ReadOn,
  thread: Thread,
  read: ThreadRead,
  signal: AbortSignal,
): AsyncGenerator<Batch, void, void> {
  const stream = new ThreadStream(on, thread, read);
  const onAbort = () => stream.wake();
  signal.addEventListener('abort', onAbort);
  try {
    for (;;) {
      if (signal.aborted) throw new DomainError('cancelled', 'The read was cancelled.');
      stream.checkTime();
      const answer = stream.answer();
      if (answer?.type === 'batch') yield stream.batchOf(answer.frame);
      else if (answer?.type === 'end') return;
      else if (answer?.type === 'failed')
        throw new DomainError(answer.failure.code, answer.failure.detail, answer.failure.data);
      else await stream.changed();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await stream.finish();
  }
}

/** A stream as its thread sees it: what is owed by it, what it has answered, and its connection. */
class ThreadStream {
  readonly #on: ReadOn;
  readonly #thread: Thread;
  readonly #id = nextStream++;
  readonly #lent: Lent;
  readonly #cancelled = new SharedArrayBuffer(4);
  readonly #answers: FromWorker[] = [];
  /** Runs while the thread owes us something: not while the consumer takes nothing. */
  readonly #working: Stopwatch;
  readonly #timeMaxMs: number;
  #late = false;
  #owed = 0;
  #finishing = false;
  #ended = false;
  #closed = false;
  wake: () => void = () => undefined;

  constructor(on: ReadOn, thread: Thread, read: ThreadRead) {
    this.#on = on;
    this.#thread = thread;
    this.#timeMaxMs = read.plan.timeMaxMs ?? Infinity;
    this.#working = new Stopwatch(this.#timeMaxMs, () => {
      this.#late = true;
      this.wake();
    });
    this.#lent = on.connections.lend(read.plan);
    thread.attach(this.#id, (answer) => this.#take(answer));
    this.#owed = creditsMax;
    this.#working.run();
    thread.post({ type: 'open', stream: this.#id, lent: this.#lent, pulls: creditsMax, ...read, cancelled: this.#cancelled }); // prettier-ignore
  }

  answer(): FromWorker | undefined {
    return this.#answers.shift();
  }

  checkTime(): void {
    if (this.#late) throw timeoutAfter(this.#timeMaxMs);
  }

  /** Resolves when something was answered, or somebody woke us. */
  changed(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  batchOf({ memory, end }: Frame): Batch {
    return { frame: Buffer.from(memory, frameAt, end - frameAt), release: () => this.#pull(memory) };
  }

  /** Frees all. The connection is interrupted only while an answer is owed, because then it is still open. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.#working.pause();
    Atomics.store(new Int32Array(this.#cancelled), 0, 1);
    while (this.#owed > 0 && !this.#closed) {
      this.#on.database.interrupt(this.#lent.connection);
      const again = setTimeout(() => this.wake(), interruptEveryMs);
      await this.changed();
      clearTimeout(again);
    }
    if (!this.#closed && !this.#ended) this.#thread.post({ type: 'close', stream: this.#id });
    while (!this.#closed) await this.changed();
    this.#thread.detach(this.#id);
    if (this.#ended) this.#on.connections.giveBack(this.#lent, 0);
    else this.#on.connections.end(this.#lent);
  }

  #pull(spare?: ArrayBuffer): void {
    if (this.#finishing || this.#ended) return;
    this.#owed++;
    this.#working.run();
    this.#thread.post({ type: 'pull', stream: this.#id, spare }, spare && [spare]);
  }

  #take(answer: FromWorker): void {
    if (answer.type === 'closed') this.#closed = true;
    else {
      this.#ended ||= answer.type === 'end';
      this.#owed = this.#ended ? 0 : this.#owed - 1;
      if (this.#owed === 0) this.#working.pause();
      this.#answers.push(answer);
    }
    this.wake();
  }
}
