import { DomainError } from '../../domain/errors.js';
import { fromMicros } from '../../domain/instants.js';
import type { InferenceLogRow } from '../../domain/serving.js';
import type { Models } from '../../models/onnx.js';
import type { Address, Endpoints, Served } from './endpoints.js';
import { mintRequestId } from './inference-log.js';
import type { InferenceLog } from './inference-log.js';
import type { Inference } from './oip.js';

/** One request answered: read for the version that will answer it, run, recorded, and only then given back. */
export interface Predict {
  <Answer>(
    at: Address,
    read: (served: Served) => Inference,
    write: (asked: Inference, predictions: Float32Array, served: Served, requestId: string) => Answer,
  ): Promise<{ answer: Answer; served: Served; rows: number }>;
}

export interface PredictDeps {
  readonly models: Models;
  readonly endpoints: Endpoints;
  readonly inferenceLog: InferenceLog;
  readonly inFlightMax: number;
}

/** Throws what `endpoints.at`, `read` and `models.run` throw, and `inference_overloaded`. */
export function createPredict({ models, endpoints, inferenceLog, inFlightMax }: PredictDeps): Predict {
  return async (at, read, write) => {
    const waiting = endpoints.inFlight;
    if (waiting >= inFlightMax) {
      throw new DomainError(
        'inference_overloaded',
        `${waiting} requests are being answered; at most ${inFlightMax} may be.`,
      );
    }
    return endpoints.use(at, async (served) => {
      const asked = read(served);
      const inputs = rowsOf(asked); // Before the run takes the buffer away.
      const predictions = await models.run(served.model, asked);
      const requestId = mintRequestId();
      await inferenceLog.append(logRows(served, asked, inputs, predictions, requestId));
      return { answer: write(asked, predictions, served, requestId), served, rows: asked.rows };
    });
  };
}

function rowsOf({ rows, columns, data }: Inference): (number | null)[][] {
  return Array.from({ length: rows }, (_, row) =>
    Array.from(data.subarray(row * columns, (row + 1) * columns), (value) => (Number.isNaN(value) ? null : value)),
  );
}

function logRows(
  { version }: Served,
  asked: Inference,
  inputs: readonly (readonly (number | null)[])[],
  predictions: Float32Array,
  requestId: string,
): InferenceLogRow[] {
  const loggedAt = fromMicros(Date.now() * 1000);
  return inputs.map((values, rowIndex) => ({
    project: version.project,
    endpoint: version.endpoint,
    version: version.version,
    requestId,
    rowIndex,
    eventTime: asked.eventTimes[rowIndex] ?? loggedAt,
    loggedAt,
    inputs: values,
    output: predictions[rowIndex] ?? NaN,
    key: asked.keys[rowIndex] ?? null,
  }));
}
