import {
  DataType,
  makeData,
  Message,
  RecordBatch,
  Struct,
  Table,
  tableToIPC,
  vectorFromArray,
  type Data,
  type DenseUnion,
  type Schema,
} from 'apache-arrow';
import protobuf from 'protobufjs';
import type { Source } from '../readable.js';

/** Values by the name of the field; of a union, which of its children and the value there. */
export type Row = Readonly<Record<string, unknown>>;

export interface OneOf {
  readonly child: number;
  readonly value: unknown;
}

/** Some gRPC clients take no message over 4 MiB. */
const batchBytesMax = 2 ** 20;

/** A small table that is made here, ready to be sent. */
export function readySource(schema: Schema, rows: readonly Row[]): Extract<Source, { type: 'ready' }> {
  const batches = [...slices(rows)].map((slice) => batchOf(schema, slice));
  const messages = messagesOf(tableToIPC(new Table(schema, batches), 'stream'));
  return { type: 'ready', schema: messages[0]?.header ?? Buffer.alloc(0), frames: messages.map(frameOf) };
}

function* slices(rows: readonly Row[]): Generator<readonly Row[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, row] of rows.entries()) {
    bytes += bytesOf(row);
    if (bytes < batchBytesMax && index < rows.length - 1) continue;
    yield rows.slice(start, index + 1);
    start = index + 1;
    bytes = 0;
  }
}

/** Roughly: what is long in these tables is text and schemas. */
const bytesOf = (row: Row): number =>
  Object.values(row).reduce<number>(
    (sum, value) => sum + (typeof value === 'string' || value instanceof Uint8Array ? value.length : 8),
    0,
  );

function batchOf(schema: Schema, rows: readonly Row[]): RecordBatch {
  const children = schema.fields.map(({ name, type }) =>
    columnOf(
      type as DataType,
      rows.map((row) => row[name] ?? null),
    ),
  );
  const type = new Struct(schema.fields);
  return new RecordBatch(schema, makeData({ type, length: rows.length, nullCount: 0, children }));
}

function columnOf(type: DataType, values: readonly unknown[]): Data {
  if (DataType.isDenseUnion(type)) return unionOf(type, values as readonly OneOf[]);
  return vectorFromArray(values, type).data[0] as Data;
}

function unionOf(type: DenseUnion, values: readonly OneOf[]): Data {
  const perChild: unknown[][] = type.children.map(() => []);
  const valueOffsets = values.map(({ child, value }) => (perChild[child]?.push(value) ?? 1) - 1);
  const children = type.children.map((field, index) => columnOf(field.type as DataType, perChild[index] ?? []));
  const typeIds = Int8Array.from(values, ({ child }) => child);
  return makeData({ type, length: values.length, typeIds, valueOffsets: Int32Array.from(valueOffsets), children });
}

interface IpcMessage {
  /** The bare flatbuffer. */
  readonly header: Buffer;
  readonly body: Buffer;
}

const prefixBytes = 8;

/** The messages of a stream of Arrow IPC; each begins with a marker and the length of its header. */
function messagesOf(stream: Uint8Array): IpcMessage[] {
  const bytes = Buffer.from(stream.buffer, stream.byteOffset, stream.byteLength);
  const messages: IpcMessage[] = [];
  for (let at = 0; at + prefixBytes <= bytes.length;) {
    const headerBytes = bytes.readInt32LE(at + 4);
    if (headerBytes === 0) break;
    const bodyAt = at + prefixBytes + headerBytes;
    const header = bytes.subarray(at + prefixBytes, bodyAt);
    const { bodyLength } = Message.decode(header);
    messages.push({ header, body: bytes.subarray(bodyAt, bodyAt + bodyLength) });
    at = bodyAt + bodyLength;
  }
  return messages;
}

const headerField = 2;
const bodyField = 1000;
const lengthDelimited = 2;

/** A FlightData message behind gRPC's prefix: not compressed, and its length. */
function frameOf({ header, body }: IpcMessage): Buffer {
  const writer = protobuf.Writer.create()
    .uint32((headerField << 3) | lengthDelimited)
    .bytes(header);
  if (body.length > 0) writer.uint32((bodyField << 3) | lengthDelimited).bytes(body);
  const message = writer.finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
