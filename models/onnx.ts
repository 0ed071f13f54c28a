import { DomainError } from '../domain/errors.js';
import type { Signature } from '../domain/serving.js';
import type { ModelTensor } from './messages.js';
import { checkSignature } from './signature.js';
import { startThread } from './thread.js';
import type { Thread } from './thread.js';

/** Rows for a model, row-major, NaN for a missing value. The buffer is transferred: it is empty after the call. */
export interface Rows {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

export interface LoadedModel {
  /** Names the model within its pool; never used again. */
  readonly id: number;
  readonly path: string;
  readonly sha256: string;
  readonly signature: Signature;
  /** As the file declares them. */
  readonly inputs: readonly ModelTensor[];
  readonly outputs: readonly ModelTensor[];
}

export interface Models {
  readonly workers: number;
  /** Loads into every thread. Throws `object_missing`, `object_corrupt`, or `model_invalid` when it is no ONNX model of this signature. */
  load(path: string, sha256: string, signature: Signature): Promise<LoadedModel>;
  /** One prediction a row, by the thread that has least to do. Throws `model_invalid`, or `request_invalid` for a matrix of the wrong size. */
  run(model: LoadedModel, rows: Rows): Promise<Float32Array>;
  unload(model: LoadedModel): Promise<void>;
  close(): Promise<void>;
}

export interface ModelsOptions {
  /** Threads; each holds a session of every loaded model. */
  readonly workers: number;
  /** Threads that one run may use: 1 for serving, where requests are the parallelism; more for batches. */
  readonly intraOpThreads?: number;
}

/** A pool of threads that hold ONNX sessions. A thread that dies is replaced, with everything that was loaded. */
export function createModels({ workers, intraOpThreads = 1 }: ModelsOptions): Models {
  const loaded = new Map<number, LoadedModel>();
  const threads = Array.from({ length: workers }, () => startThread({ intraOpThreads }, () => loaded.values()));
  let nextId = 1;

  return {
    workers,
    async load(path, sha256, signature) {
      const id = nextId++;
      try {
        let tensors: { inputs: ModelTensor[]; outputs: ModelTensor[] } = { inputs: [], outputs: [] };
        // One thread after the other, so that the rest of the pool keeps answering.
        for (const thread of threads) tensors = await thread.load({ id, path, sha256 });
        checkSignature(signature, tensors.inputs, tensors.outputs);
        const model = { id, path, sha256, signature, ...tensors };
        loaded.set(id, model);
        return model;
      } catch (error) {
        await Promise.all(threads.map((thread) => thread.unload(id)));
        throw error;
      }
    },
    async run(model, rows) {
      const [input] = model.signature.inputs;
      const [output] = model.signature.outputs;
      if (!input || !output) throw new DomainError('model_invalid', 'The signature has no input or no output.');
      checkSize(rows, input.columns.length);
      if (rows.rows === 0) return new Float32Array(0);
      return leastBusy(threads).run(model.id, input.name, output.name, rows);
    },
    async unload(model) {
      loaded.delete(model.id);
      await Promise.all(threads.map((thread) => thread.unload(model.id)));
    },
    async close() {
      loaded.clear();
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

/**
 * Scores batch after batch, answers in order. At most one batch a thread is on its way, and the next one is only asked for
 * when its turn comes, so memory is bounded by the size of a batch whatever their number.
 */
export async function* predictRows(
  models: Models,
  model: LoadedModel,
  batches: AsyncIterable<Rows> | Iterable<Rows>,
): AsyncGenerator<Float32Array, void, undefined> {
  const underway: Promise<Float32Array>[] = [];
  try {
    for await (const batch of batches) {
      const prediction = models.run(model, batch);
      prediction.catch(() => undefined); // It is awaited below; until then a failure must not count as unhandled.
      underway.push(prediction);
      if (underway.length >= models.workers) yield await (underway.shift() as Promise<Float32Array>);
    }
    while (underway.length > 0) yield await (underway.shift() as Promise<Float32Array>);
  } finally {
    await Promise.allSettled(underway);
  }
}

function leastBusy(threads: readonly Thread[]): Thread {
  return threads.reduce((best, thread) => (thread.underway() < best.underway() ? thread : best));
}

function checkSize({ rows, columns, data }: Rows, expected: number): void {
  if (columns === expected && data.length === rows * columns) return;
  throw new DomainError(
    'request_invalid',
    `The model takes ${expected} columns; got ${data.length} values as ${rows} × ${columns}.`,
    {
      rows,
      columns,
      expected,
    },
  );
}
