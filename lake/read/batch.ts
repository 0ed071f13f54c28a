import { DomainError } from '../../domain/errors.js';
import { compressBody, type Codec } from './compression.js';
import type { ArrayPlace } from './conversion.js';
import type { PlannedColumn } from './layout.js';
import { addressOf } from './library.js';
import { alignUp, messageAt, placeHead, writeGrpcPrefix, writeHead, type Head, type HeadKind } from './message.js';
import { planBody, type ArrayNode, type BodyPlan } from './places.js';
import { writeArray, type NodeCounts } from './values.js';

/** Rows of a chunk that go into one message. */
export interface Piece {
  readonly columns: readonly ArrayPlace[];
  readonly start: number;
  readonly rows: number;
}

/** A gRPC frame in memory of its own: from `frameAt` to `end`. */
export interface Frame {
  readonly memory: ArrayBuffer;
  readonly end: number;
}

const messageBytesMax = 2 ** 31 - 1;

/**
 * Copies the pieces, one after the other, to their final places in one FlightData message. It is written into the spare
 * memory if that is large enough: fresh memory for every message costs more than the copying.
 */
export function batchFrame(
  plan: readonly PlannedColumn[],
  pieces: readonly Piece[],
  spare: ArrayBuffer | undefined,
  kind: HeadKind = {},
): Frame {
  const planned = planBody(plan, (column) =>
    pieces.map((piece) => ({ place: piece.columns[column] as ArrayPlace, start: piece.start, rows: piece.rows })),
  );
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  if (kind.codec !== undefined) return compressedFrame(planned, rows, spare, { ...kind, codec: kind.codec });
  const frame = openFrame(planned, planned, spare, kind);
  const nodes = writeBody(frame.body, planned);
  writeHead(frame.message, frame.head, kind, { rows, nodes, buffers: planned.buffers, bodyBytes: planned.bytes });
  return { memory: frame.memory, end: messageAt + frame.message.length };
}

/** Of one thread, which makes one batch at a time. */
let uncompressed = Buffer.alloc(0);

function compressedFrame(
  planned: BodyPlan,
  rows: number,
  spare: ArrayBuffer | undefined,
  kind: HeadKind & { readonly codec: Codec },
): Frame {
  if (uncompressed.length < planned.bytes) uncompressed = Buffer.allocUnsafeSlow(Math.ceil(planned.bytes * 1.1));
  const nodes = writeBody(uncompressed, planned);
  const packed = compressBody(uncompressed, planned.buffers, kind.codec);
  const frame = openFrame(planned, packed, spare, kind);
  let at = 0;
  for (const part of packed.parts) {
    frame.body.set(part, at);
    at += part.length;
  }
  writeHead(frame.message, frame.head, kind, { rows, nodes, buffers: packed.buffers, bodyBytes: packed.bytes });
  return { memory: frame.memory, end: messageAt + frame.message.length };
}

interface OpenFrame {
  readonly memory: ArrayBuffer;
  readonly message: Buffer;
  readonly head: Head;
  readonly body: Buffer;
}

function openFrame(
  { columns }: BodyPlan,
  { buffers, bytes }: Pick<BodyPlan, 'buffers' | 'bytes'>,
  spare: ArrayBuffer | undefined,
  kind: HeadKind,
): OpenFrame {
  const nodes = columns.reduce((sum, column) => sum + nodesOf(column), 0);
  const head = placeHead(kind, nodes, buffers.length, bytes);
  const messageBytes = head.bodyAt + bytes;
  if (messageBytes > messageBytesMax)
    throw new DomainError('query_failed', 'A row is larger than one message may be.', { bytes: messageBytes });
  const memory = memoryFor(messageAt + messageBytes, spare);
  writeGrpcPrefix(memory, messageBytes);
  const message = memory.subarray(messageAt, messageAt + messageBytes);
  return { memory: memory.buffer as ArrayBuffer, message, head, body: message.subarray(head.bodyAt) };
}

function writeBody(bytes: Buffer, { columns, buffers }: BodyPlan): NodeCounts[] {
  for (const { offset, bytes: used } of buffers) bytes.fill(0, offset + used, alignUp(offset + used));
  const body = { bytes, address: addressOf(bytes) };
  const counts: NodeCounts[] = [];
  for (const column of columns) writeArray(body, column, counts);
  return counts;
}

const nodesOf = ({ children }: { children: readonly ArrayNode[] }): number =>
  children.reduce((sum, child) => sum + nodesOf(child), 1);

/** Not zeroed: every byte of the frame is written, the padding included. A little more, so that the next batch fits too. */
function memoryFor(bytes: number, spare: ArrayBuffer | undefined): Buffer {
  return spare && spare.byteLength >= bytes ? Buffer.from(spare) : Buffer.allocUnsafeSlow(Math.ceil(bytes * 1.1));
}
