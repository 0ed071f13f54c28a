import { z } from 'zod';
import { instant } from '../../domain/instants.js';
import type { Instant } from '../../domain/ids.js';
import type { Json } from '../../domain/json.js';
import type { ServedVersion, Signature } from '../../domain/serving.js';
import { bytesOf, inputInvalid, matrixFromBytes, matrixFromJson } from './tensors.js';

/** The Open Inference Protocol v2 over REST, with its binary tensor extension: requests read, answers written. */

const idLengthMax = 256;
const parameters = z.record(z.string(), z.unknown()).optional();

export const InferRequest = z
  .object({
    id: z.string().max(idLengthMax).optional().describe('Comes back in the answer.'),
    parameters: parameters.describe(
      'Logged: event_time (ISO 8601, default now) and key (an object), either one for all rows or a list with one a row.',
    ),
    inputs: z.array(
      z.object({
        name: z.string(),
        shape: z.array(z.int().min(0)),
        datatype: z.string(),
        parameters,
        data: z.unknown().optional().describe('Flat or nested, row-major; null is a missing value.'),
      }),
    ),
    outputs: z.array(z.object({ name: z.string(), parameters })).optional(),
  })
  .meta({ id: 'InferRequest' });
type InferRequest = z.infer<typeof InferRequest>;

/** What a request comes down to, whatever form it had. */
export interface Inference {
  readonly id: string | null;
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
  /** One a row. */
  readonly eventTimes: readonly (Instant | null)[];
  readonly keys: readonly (Json | null)[];
  readonly binaryAnswer: boolean;
}

/**
 * `jsonLength` is the header Inference-Header-Content-Length: where the JSON ends and the binary tensors begin.
 * Throws `inference_input_invalid`.
 */
export function readInferRequest(
  body: Buffer,
  jsonLength: string | undefined,
  signature: Signature,
  rowsMax: number,
): Inference {
  const end = jsonEnd(body, jsonLength);
  const request = parse(body.toString('utf8', 0, end));
  const { rows, columns, data } = readMatrix(request, body.subarray(end), signature, rowsMax);
  return {
    id: request.id ?? null,
    rows,
    columns,
    data,
    eventTimes: eventTimesOf(request.parameters?.['event_time'], rows),
    keys: keysOf(request.parameters?.['key'], rows),
    binaryAnswer: wantsBinary(request, signature),
  };
}

export interface InferAnswer {
  readonly body: string | Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

const outputShape = ({ outputs }: Signature, rows: number): number[] =>
  outputs[0]?.shape.length === 2 ? [rows, 1] : [rows];

/** `requestId` is the one of the inference log; it is also the answer's id when the caller gave none. */
export function writeInferAnswer(
  asked: Inference,
  predictions: Float32Array,
  served: ServedVersion,
  requestId: string,
): InferAnswer {
  const { signature, endpoint, version } = served;
  const output = { name: signature.outputs[0]?.name, datatype: 'FP32', shape: outputShape(signature, asked.rows) };
  const head = {
    model_name: endpoint,
    model_version: String(version),
    id: asked.id ?? requestId,
    parameters: { request_id: requestId },
  };
  if (!asked.binaryAnswer) {
    const json = JSON.stringify({ ...head, outputs: [{ ...output, data: Array.from(predictions) }] });
    return { body: json, headers: { 'content-type': 'application/json' } };
  }
  const bytes = bytesOf(predictions);
  const json = Buffer.from(
    JSON.stringify({ ...head, outputs: [{ ...output, parameters: { binary_data_size: bytes.length } }] }),
  );
  return {
    body: Buffer.concat([json, bytes]),
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.length) },
  };
}

export function modelMetadata({ endpoint, signature }: ServedVersion, versions: readonly number[]) {
  return {
    name: endpoint,
    versions: versions.map(String),
    platform: 'onnxruntime_onnx',
    inputs: signature.inputs.map(({ columns, ...tensor }) => ({ ...tensor, parameters: { columns } })),
    outputs: signature.outputs,
  };
}

function jsonEnd(body: Buffer, jsonLength: string | undefined): number {
  if (jsonLength === undefined) return body.length;
  const end = /^\d+$/.test(jsonLength) ? Number(jsonLength) : NaN;
  if (end <= body.length) return end;
  throw inputInvalid(`Inference-Header-Content-Length is "${jsonLength}"; the body has ${body.length} bytes.`);
}

function parse(text: string): InferRequest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const hint = /\bNaN\b|\bInfinity\b/.test(text) ? ' JSON has no NaN and no Infinity: a missing value is null.' : '';
    throw inputInvalid(`The body is not JSON: ${(error as Error).message}.${hint}`);
  }
  const result = InferRequest.safeParse(json);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  throw inputInvalid(`The request is malformed: ${issues.join('; ')}.`, { issues });
}

function readMatrix(request: InferRequest, binary: Buffer, signature: Signature, rowsMax: number) {
  const [wanted] = signature.inputs;
  const [given, ...more] = request.inputs;
  if (!wanted || !given || more.length > 0 || given.name !== wanted.name) {
    const names = request.inputs.map(({ name }) => `"${name}"`).join(', ') || 'none';
    throw inputInvalid(`The model takes one input, "${wanted?.name}"; the request has ${names}.`);
  }
  const [rows = 0, columns] = given.shape;
  if (given.shape.length !== 2 || columns !== wanted.columns.length) {
    const expected = `[rows,${wanted.columns.length}] for ${wanted.columns.join(', ')}`;
    throw inputInvalid(`Input "${given.name}" has shape [${given.shape.join(',')}]; expected is ${expected}.`);
  }
  if (rows < 1 || rows > rowsMax)
    throw inputInvalid(`A request has from 1 to ${rowsMax} rows; this one has ${rows}.`, { rows, rowsMax });

  const matrix = { name: given.name, datatype: given.datatype, rows, columns: wanted.columns };
  const size = given.parameters?.['binary_data_size'];
  if (size === undefined) {
    if (binary.length > 0)
      throw inputInvalid(`${binary.length} bytes follow the JSON, but no input says binary_data_size.`);
    return { rows, columns, data: matrixFromJson(matrix, given.data) };
  }
  if (given.data !== undefined) throw inputInvalid(`Input "${given.name}" has both data and binary_data_size.`);
  if (size !== binary.length)
    throw inputInvalid(`binary_data_size is ${String(size)}; ${binary.length} bytes follow the JSON.`);
  return { rows, columns, data: matrixFromBytes(matrix, binary) };
}

function wantsBinary({ outputs, parameters }: InferRequest, signature: Signature): boolean {
  const [wanted] = signature.outputs;
  for (const { name, parameters } of outputs ?? []) {
    if (name !== wanted?.name) throw inputInvalid(`The model has no output "${name}"; it has "${wanted?.name}".`);
    if (parameters?.['classification'] !== undefined)
      throw inputInvalid('The classification extension is not supported.');
  }
  return (outputs?.[0]?.parameters?.['binary_data'] ?? parameters?.['binary_data_output']) === true;
}

function eventTimesOf(given: unknown, rows: number): (Instant | null)[] {
  return eachRow('event_time', given, rows, (value) => {
    if (typeof value !== 'string') throw inputInvalid('parameters.event_time must be an ISO 8601 instant.');
    try {
      return instant(value);
    } catch (error) {
      throw inputInvalid(`parameters.event_time: ${(error as Error).message}`);
    }
  });
}

function keysOf(given: unknown, rows: number): (Json | null)[] {
  return eachRow('key', given, rows, (value) => {
    if (typeof value !== 'object' || value === null)
      throw inputInvalid('parameters.key must be an object such as {"flight_id": 7}.');
    // PostgreSQL stores no NUL in text, so such a key could never be logged.
    if (JSON.stringify(value).includes('\\u0000'))
      throw inputInvalid('parameters.key must not contain the character U+0000.');
    return value as Json;
  });
}

function eachRow<T>(name: string, given: unknown, rows: number, read: (value: unknown) => T): (T | null)[] {
  if (given === undefined || given === null) return new Array<null>(rows).fill(null);
  if (!Array.isArray(given)) return new Array<T>(rows).fill(read(given));
  if (given.length === rows) return given.map(read);
  throw inputInvalid(`parameters.${name} lists ${given.length} values for ${rows} rows.`);
}
