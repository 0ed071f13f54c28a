import { DomainError } from '../../domain/errors.js';
import type { ArrayPlace } from './conversion.js';
import type { PlannedColumn } from './layout.js';
import { addressOf } from './library.js';
import { alignUp, messageAt, placeHead, writeGrpcPrefix, writeHead, type HeadKind } from './message.js';
import { planBody, type ArrayNode } from './places.js';
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
  const {
    columns,
    buffers,
    bytes: bodyBytes,
  } = planBody(plan, (column) =>
    pieces.map((piece) => ({ place: piece.columns[column] as ArrayPlace, start: piece.start, rows: piece.rows })),
  );
  const nodes = columns.reduce((sum, column) => sum + nodesOf(column), 0);
  const head = placeHead(kind, nodes, buffers.length, bodyBytes);
  const messageBytes = head.bodyAt + bodyBytes;
  if (messageBytes > messageBytesMax)
    throw new DomainError('query_failed', 'A row is larger than one message may be.', { bytes: messageBytes });
  const memory = memoryFor(messageAt + messageBytes, spare);
  writeGrpcPrefix(memory, messageBytes);
  const message = memory.subarray(messageAt, messageAt + messageBytes);
  const body = { bytes: message.subarray(head.bodyAt), address: addressOf(message) + head.bodyAt };
  for (const { offset, bytes } of buffers) body.bytes.fill(0, offset + bytes, alignUp(offset + bytes));
  const counts: NodeCounts[] = [];
  for (const column of columns) writeArray(body, column, counts);
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  writeHead(message, head, kind, { rows, nodes: counts, buffers, bodyBytes });
  return { memory: memory.buffer as ArrayBuffer, end: messageAt + messageBytes };
}

const nodesOf = ({ children }: { children: readonly ArrayNode[] }): number =>
  children.reduce((sum, child) => sum + nodesOf(child), 1);

/** Not zeroed: every byte of the frame is written, the padding included. A little more, so that the next batch fits too. */
function memoryFor(bytes: number, spare: ArrayBuffer | undefined): Buffer {
  return spare && spare.byteLength >= bytes ? Buffer.from(spare) : Buffer.allocUnsafeSlow(Math.ceil(bytes * 1.1));
}
