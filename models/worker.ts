import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { FromWorker, ModelTensor, ToWorker, WorkerFailure, WorkerSettings } from './messages.js';

/** A thread that holds sessions. Its calls block, which is why it is a thread; nothing else imports onnxruntime-node. */
const settings = workerData as WorkerSettings;
const sessions = new Map<number, InferenceSession>();

const port = parentPort;
if (!port) throw new Error('models/worker runs as a worker thread only.');
/** One after the other: a run that was sent after a load must find the session. */
let last: Promise<void> = Promise.resolve();
port.on('message', (message: ToWorker) => {
  last = last.then(async () => {
    const reply = await answer(message);
    const transfer = 'predictions' in reply ? [reply.predictions.buffer as ArrayBuffer] : [];
    port.postMessage(reply, transfer);
  });
});

async function answer(message: ToWorker): Promise<FromWorker> {
  const { call } = message;
  try {
    switch (message.type) {
      case 'load':
        return { call, loaded: await load(message) };
      case 'run':
        return { call, predictions: await run(message) };
      case 'unload':
        await sessions.get(message.model)?.release();
        sessions.delete(message.model);
        return { call, unloaded: true };
    }
  } catch (error) {
    return { call, failed: failureOf(error) };
  }
}

/** The bytes that are hashed are the bytes that are loaded: the file may be replaced in between. */
async function load({ model, path, sha256 }: Extract<ToWorker, { type: 'load' }>) {
  const bytes = readFileSync(path);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256) {
    throw failure('object_corrupt', `The model file has SHA-256 ${found}, recorded is ${sha256}.`, { sha256, found });
  }
  const session = await InferenceSession.create(bytes, {
    executionProviders: ['cpu'],
    intraOpNumThreads: settings.intraOpThreads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    // A thread that spins between two requests takes the core from the one that reads the next request.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  sessions.set(model, session);
  return { inputs: session.inputMetadata.map(tensorOf), outputs: session.outputMetadata.map(tensorOf) };
}

async function run({ model, input, output, rows, columns, data }: Extract<ToWorker, { type: 'run' }>) {
  const session = sessions.get(model);
  if (!session) throw failure('model_invalid', 'The model is not loaded in this thread.');
  const results = await session.run({ [input]: new Tensor('float32', data, [rows, columns]) }, [output]);
  const predictions = results[output]?.data;
  if (!(predictions instanceof Float32Array) || predictions.length !== rows) {
    throw failure('model_invalid', `The model gave ${predictions?.length ?? 0} predictions for ${rows} rows.`, {
      rows,
    });
  }
  // What ONNX Runtime returns may be a view of memory of its own, which cannot be transferred.
  return predictions.byteLength === predictions.buffer.byteLength ? predictions : predictions.slice();
}

const datatypes: Readonly<Record<string, string>> = {
  float32: 'FP32',
  float64: 'FP64',
  float16: 'FP16',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
};

function tensorOf(value: InferenceSession.ValueMetadata): ModelTensor {
  if (!value.isTensor) return { name: value.name, datatype: 'OTHER', shape: [] };
  const shape = value.shape.map((dimension) => (typeof dimension === 'number' ? dimension : -1));
  return { name: value.name, datatype: datatypes[value.type] ?? 'OTHER', shape };
}

const failure = (code: WorkerFailure['code'], detail: string, data = {}): WorkerFailure => ({ code, detail, data });

function failureOf(error: unknown): WorkerFailure {
  if (!(error instanceof Error)) return error as WorkerFailure;
  if ('code' in error && error.code === 'ENOENT') return failure('object_missing', 'The model file does not exist.');
  return failure('model_invalid', error.message);
}
