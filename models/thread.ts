import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { DomainError } from '../domain/errors.js';
import type { FromWorker, ModelTensor, ToWorker, WorkerSettings } from './messages.js';
import type { Rows } from './onnx.js';

/** One worker thread of the pool, seen from outside. */
export interface Thread {
  load(model: ModelFile): Promise<{ inputs: ModelTensor[]; outputs: ModelTensor[] }>;
  run(model: number, input: string, output: string, rows: Rows): Promise<Float32Array>;
  unload(model: number): Promise<void>;
  /** How many calls wait for this thread. */
  underway(): number;
  close(): Promise<void>;
}

export interface ModelFile {
  readonly id: number;
  readonly path: string;
  readonly sha256: string;
}

interface Waiting {
  readonly resolve: (reply: FromWorker) => void;
  readonly reject: (error: Error) => void;
}

/** `loaded` says what a replacement must load before its first run: messages are handled in order. */
export function startThread(settings: WorkerSettings, loaded: () => Iterable<ModelFile>): Thread {
  const waiting = new Map<number, Waiting>();
  let nextCall = 1;
  let closed = false;
  let worker: Worker | undefined;

  /** Started by the first call, and again by the first call after its end: a thread that cannot start is not tried in a loop. */
  function live(): Worker {
    if (worker) return worker;
    const started = new Worker(workerFile(), { workerData: settings });
    worker = started;
    let cause: unknown;
    started.on('message', settle);
    started.on('error', (error) => (cause = error));
    started.on('exit', () => {
      worker = undefined;
      const error = new DomainError('internal', 'The thread that held the model ended.', {}, { cause });
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    });
    for (const model of loaded()) void call(loadMessage(model)).catch(() => undefined); // Its runs will tell: not loaded.
    return started;
  }

  function settle(reply: FromWorker): void {
    const asked = waiting.get(reply.call);
    waiting.delete(reply.call);
    if (waiting.size === 0) worker?.unref();
    asked?.resolve(reply);
  }

  async function call(message: DistributiveOmit<ToWorker, 'call'>, transfer: ArrayBuffer[] = []): Promise<FromWorker> {
    if (closed) throw new DomainError('internal', 'The models are closed.');
    const to = live();
    const id = nextCall++;
    const reply = await new Promise<FromWorker>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      to.ref(); // A process with a call underway must not end; an idle pool must not keep it alive.
      to.postMessage({ ...message, call: id }, transfer);
    });
    if ('failed' in reply) throw new DomainError(reply.failed.code, reply.failed.detail, reply.failed.data);
    return reply;
  }

  return {
    async load(model) {
      const reply = await call(loadMessage(model));
      if (!('loaded' in reply)) throw unexpected('tensors');
      return reply.loaded;
    },
    async run(model, input, output, { rows, columns, data }) {
      const own = ownBuffer(data);
      const reply = await call({ type: 'run', model, input, output, rows, columns, data: own }, [
        own.buffer as ArrayBuffer,
      ]);
      if (!('predictions' in reply)) throw unexpected('predictions');
      return reply.predictions;
    },
    async unload(model) {
      await call({ type: 'unload', model });
    },
    underway: () => waiting.size,
    async close() {
      closed = true;
      await worker?.terminate();
    },
  };
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
const unexpected = (wanted: string): DomainError =>
  new DomainError('internal', `The thread's answer has no ${wanted}.`);

const loadMessage = ({ id, path, sha256 }: ModelFile) => ({ type: 'load', model: id, path, sha256 }) as const;

/** Transferring a view would take away the memory of its neighbours, e.g. of Node's buffer pool. */
function ownBuffer(data: Float32Array): Float32Array {
  return data.byteLength === data.buffer.byteLength && !(data.buffer instanceof SharedArrayBuffer)
    ? data
    : data.slice();
}

/** Threads run compiled JavaScript: beside this file in `dist/`; tests run from the sources and take it from there. */
function workerFile(): URL {
  const beside = new URL('./worker.js', import.meta.url);
  return existsSync(fileURLToPath(beside)) ? beside : new URL('../dist/models/worker.js', import.meta.url);
}
