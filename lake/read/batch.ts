import { DomainError } from '../../domain/errors.js';
import { bitAt, bytesOfBits, copyBits, packBytes, setOnes } from './bits.js';
import { textStart, type Chunk, type ChunkColumn } from './chunk.js';
import { addressOf, hold, library, type Pointer } from './library.js';
import { alignUp, messageAt, placeHead, writeGrpcPrefix, writeHead, type BufferPlace } from './message.js';
import type { PlannedColumn } from './plan.js';

/** Rows of a chunk that go into one message. */
export interface Piece {
  readonly chunk: Chunk;
  readonly start: number;
  readonly rows: number;
}

interface ColumnPlaces {
  readonly validity: BufferPlace;
  readonly offsets: BufferPlace | null;
  readonly data: BufferPlace;
}

interface Target {
  readonly body: Buffer;
  readonly address: Pointer;
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
): Frame {
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
  const places: ColumnPlaces[] = [];
  let bodyBytes = 0;
  const place = (bytes: number): BufferPlace => {
    const offset = bodyBytes;
    bodyBytes = alignUp(bodyBytes + bytes);
    return { offset, bytes };
  };
  plan.forEach(({ layout }, index) => {
    const nullable = pieces.some(({ chunk }) => chunk.columns[index]?.validity);
    const validity = place(nullable ? bytesOfBits(rows) : 0);
    const offsets = layout.kind === 'text' ? place(4 * (rows + 1)) : null;
    places.push({ validity, offsets, data: place(dataBytes(layout, index, rows, pieces)) });
  });
  const buffers = places.flatMap(({ validity, offsets, data }) =>
    offsets ? [validity, offsets, data] : [validity, data],
  );
  const head = placeHead(plan.length, buffers.length, bodyBytes);
  const messageBytes = head.bodyAt + bodyBytes;
  if (messageBytes > messageBytesMax)
    throw new DomainError('query_failed', 'A row is larger than one message may be.', { bytes: messageBytes });
  const memory = memoryFor(messageAt + messageBytes, spare);
  writeGrpcPrefix(memory, messageBytes);
  const message = memory.subarray(messageAt, messageAt + messageBytes);
  const body = message.subarray(head.bodyAt);
  for (const { offset, bytes } of buffers) body.fill(0, offset + bytes, alignUp(offset + bytes));
  const target = { body, address: addressOf(body) };
  const nullCounts = plan.map((column, index) => {
    const own = places[index] as ColumnPlaces;
    const nulls = writeValidity(target, own.validity, pieces, index);
    writeValues(target, column, own, pieces, index);
    return nulls;
  });
  writeHead(message, head, { rows, nullCounts, buffers, bodyBytes });
  return { memory: memory.buffer as ArrayBuffer, end: messageAt + messageBytes };
}

/** Not zeroed: every byte of the frame is written, the padding included. A little more, so that the next batch fits too. */
function memoryFor(bytes: number, spare: ArrayBuffer | undefined): Buffer {
  return spare && spare.byteLength >= bytes ? Buffer.from(spare) : Buffer.allocUnsafeSlow(Math.ceil(bytes * 1.1));
}

function dataBytes(layout: PlannedColumn['layout'], index: number, rows: number, pieces: readonly Piece[]): number {
  switch (layout.kind) {
    case 'plain':
      return layout.width * rows;
    case 'bits':
      return bytesOfBits(rows);
    case 'interval':
      return intervalBytes * rows;
    case 'text':
      return pieces.reduce((sum, piece) => sum + textBytes(piece, index), 0);
  }
}

const columnOf = ({ chunk }: Piece, index: number): ChunkColumn => chunk.columns[index] as ChunkColumn;

function textBytes(piece: Piece, index: number): number {
  const { text } = columnOf(piece, index);
  return text ? textStart(text, piece.start + piece.rows) - textStart(text, piece.start) : 0;
}

const view = ({ body }: Target, { offset, bytes }: BufferPlace): Buffer => body.subarray(offset, offset + bytes);

const vectorRows = library().vectorSize();
const intervalBytes = 16;
/** For what JavaScript itself must look at: a bitmap, booleans, intervals of one chunk. */
const scratch = hold(vectorRows * intervalBytes);

/** Returns how many are null. */
function writeValidity(target: Target, place: BufferPlace, pieces: readonly Piece[], index: number): number {
  if (place.bytes === 0) return 0;
  const bits = view(target, place).fill(0);
  let nulls = 0;
  let row = 0;
  for (const piece of pieces) {
    const source = readValidity(piece, index);
    if (source === null) setOnes(bits, row, piece.rows);
    else nulls += copyBits(source, piece.start, bits, row, piece.rows);
    row += piece.rows;
  }
  return nulls;
}

function readValidity(piece: Piece, index: number): Uint8Array | null {
  const { validity } = columnOf(piece, index);
  if (validity === 0) return null;
  const bytes = bytesOfBits(piece.start + piece.rows);
  library().memcpy(scratch.address, validity, bytes);
  return scratch.buffer.subarray(0, bytes);
}

function writeValues(
  target: Target,
  column: PlannedColumn,
  { offsets, data }: ColumnPlaces,
  pieces: readonly Piece[],
  index: number,
): void {
  const { memcpy } = library();
  const { layout } = column;
  const at = target.address + data.offset;
  if (layout.kind === 'bits') view(target, data).fill(0);
  let row = 0;
  let written = 0;
  for (const piece of pieces) {
    const source = columnOf(piece, index);
    switch (layout.kind) {
      case 'plain':
        memcpy(at + row * layout.width, source.data + piece.start * layout.width, piece.rows * layout.width);
        break;
      case 'bits':
        memcpy(scratch.address, source.data + piece.start, piece.rows);
        packBytes(scratch.buffer, view(target, data), row, piece.rows);
        break;
      case 'interval':
        writeIntervals(view(target, data), row, column.name, piece, index);
        break;
      case 'text':
        written += writeTexts(target, { offsets: offsets as BufferPlace, at }, piece, index, row, written);
        break;
    }
    row += piece.rows;
  }
}

/** Returns how many bytes of text it added. */
function writeTexts(
  target: Target,
  { offsets, at }: { offsets: BufferPlace; at: Pointer },
  piece: Piece,
  index: number,
  row: number,
  written: number,
): number {
  const { text } = columnOf(piece, index);
  if (!text) throw new Error('A text column was not converted.');
  const { memcpy } = library();
  const first = textStart(text, piece.start);
  const bytes = textStart(text, piece.start + piece.rows) - first;
  const into = offsets.offset + 4 * row;
  const ends = new Int32Array(target.body.buffer, target.body.byteOffset + into, piece.rows + 1);
  memcpy(target.address + into, text.offsets + 4 * piece.start, 4 * (piece.rows + 1));
  const shift = written - first;
  if (shift !== 0) for (let end = 0; end <= piece.rows; end++) (ends[end] as number) += shift;
  if (bytes > 0) memcpy(at + written, text.data + first, bytes);
  return bytes;
}

/** DuckDB: months int32, days int32, microseconds int64; Arrow: the same with nanoseconds, which reach 292 years only. */
function writeIntervals(data: Buffer, row: number, name: string, piece: Piece, index: number): void {
  const { memcpy } = library();
  const bitmap = readValidity(piece, index);
  const validity = bitmap && Uint8Array.from(bitmap); // The scratch memory is needed again.
  memcpy(scratch.address, columnOf(piece, index).data + piece.start * intervalBytes, piece.rows * intervalBytes);
  const target = data.subarray(row * intervalBytes, (row + piece.rows) * intervalBytes);
  scratch.buffer.copy(target, 0, 0, target.length);
  for (let value = 0; value < piece.rows; value++) {
    const nanos = target.readBigInt64LE(value * intervalBytes + 8) * 1000n;
    const fits = BigInt.asIntN(64, nanos) === nanos;
    if (!fits && (validity === null || bitAt(validity, piece.start + value)))
      throw new DomainError(
        'query_failed',
        `An interval in column "${name}" does not fit into 64 bits of nanoseconds.`,
      );
    target.writeBigInt64LE(fits ? nanos : 0n, value * intervalBytes + 8);
  }
}
