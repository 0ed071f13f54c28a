import { bytesOfBits, copyBits, countOnes, packBytes, setOnes } from './bits.js';
import { checkValues } from './checks.js';
import { microsToNanos } from './intervals.js';
import { decimalBytes, intervalBytes } from './layout.js';
import { hold, library, type Pointer } from './library.js';
import type { BufferPlace } from './message.js';
import type { ArrayNode } from './places.js';
import type { Run } from './runs.js';

/** The body of a message, and where it lies. */
export interface Body {
  readonly bytes: Buffer;
  readonly address: Pointer;
}

export interface NodeCounts {
  readonly rows: number;
  readonly nulls: number;
}

/** Copies all runs of an array and of its children to their places; adds the counts of each, parents first. */
export function writeArray(body: Body, node: ArrayNode, counts: NodeCounts[]): void {
  const nulls = node.layout.kind === 'null' ? node.rows : writeValidity(body, node);
  counts.push({ rows: node.rows, nulls });
  writeValues(body, node);
  for (const child of node.children) writeArray(body, child, counts);
}

const view = ({ bytes }: Body, place: BufferPlace): Buffer => bytes.subarray(place.offset, place.offset + place.bytes);

/** For what JavaScript itself must look at; grows. */
let scratch = hold(2 ** 16);

function readable(at: Pointer, bytes: number): Buffer {
  if (bytes > scratch.buffer.length) scratch = hold(2 * bytes);
  library().memcpy(scratch.address, at, bytes);
  return scratch.buffer.subarray(0, bytes);
}

/** Returns how many are null. */
function writeValidity(body: Body, { validity, runs, rows }: ArrayNode): number {
  if (validity === null || validity.bytes === 0) return 0;
  const bits = view(body, validity).fill(0);
  inTurn(runs, (run, row) => writeBits(body, validity, bits, run.place.validity, run, row));
  return rows - countOnes(bits);
}

/** `source` 0: they are all ones. Whole bytes need no look at them. */
function writeBits(body: Body, place: BufferPlace, bits: Buffer, source: Pointer, run: Run, row: number): void {
  if (source === 0) return setOnes(bits, row, run.rows);
  if (((row | run.start) & 7) !== 0)
    return copyBits(readable(source, bytesOfBits(run.start + run.rows)), run.start, bits, row, run.rows);
  library().memcpy(body.address + place.offset + (row >> 3), source + (run.start >> 3), bytesOfBits(run.rows));
  const left = run.rows & 7;
  if (left !== 0) (bits[(row + run.rows) >> 3] as number) &= 0xff >> (8 - left);
}

function writeValues(body: Body, node: ArrayNode): void {
  const { layout, runs } = node;
  const data = node.data as BufferPlace; // Every layout that is asked for it has one.
  switch (layout.kind) {
    case 'plain':
      copyPlain(body, data, layout.width, runs);
      if (layout.check) checkValues(layout.check, node, view(body, data), validityOf(body, node));
      break;
    case 'union':
      copyPlain(body, data, 1, runs);
      break;
    case 'bits': {
      const bits = view(body, data).fill(0);
      inTurn(runs, (run, row) => writeBits(body, data, bits, run.place.data, run, row));
      break;
    }
    case 'bools': {
      const bits = view(body, data).fill(0);
      inTurn(runs, (run, row) => packBytes(readable(run.place.data + run.start, run.rows), bits, row, run.rows));
      break;
    }
    case 'narrow':
      inTurn(runs, (run, row) => writeDecimals(view(body, data), row, layout.width, run));
      break;
    case 'nanos':
      copyPlain(body, data, intervalBytes, runs);
      break;
    case 'interval':
      copyPlain(body, data, intervalBytes, runs);
      microsToNanos(node, view(body, data), validityOf(body, node));
      break;
    case 'text':
      writeOffsets(body, node, data);
      break;
    case 'list':
      writeOffsets(body, node, null);
      break;
    case 'null':
    case 'fixedList':
    case 'struct':
      break;
  }
}

function inTurn(runs: readonly Run[], write: (run: Run, row: number) => void): void {
  let row = 0;
  for (const run of runs) {
    if (run.rows > 0) write(run, row);
    row += run.rows;
  }
}

const validityOf = (body: Body, { validity }: ArrayNode): Buffer | null =>
  validity === null || validity.bytes === 0 ? null : view(body, validity);

function copyPlain({ address }: Body, { offset }: BufferPlace, width: number, runs: readonly Run[]): void {
  const { memcpy } = library();
  inTurn(runs, ({ place, start, rows }, row) => {
    memcpy(address + offset + row * width, place.data + start * width, rows * width);
  });
}

/** Each run's offsets go on where those of the run before ended; with the bytes of texts behind one another. */
function writeOffsets(body: Body, { offsets, runs, rows }: ArrayNode, data: BufferPlace | null): void {
  const { memcpy } = library();
  const { offset } = offsets as BufferPlace;
  const ends = new Int32Array(body.bytes.buffer, body.bytes.byteOffset + offset, rows + 1);
  let written = 0;
  ends[0] = 0;
  inTurn(runs, (run, row) => {
    memcpy(body.address + offset + 4 * row, run.place.offsets + 4 * run.start, 4 * (run.rows + 1));
    const first = ends[row] as number;
    const length = (ends[row + run.rows] as number) - first;
    const shift = written - first;
    if (shift !== 0) for (let at = row; at <= row + run.rows; at++) (ends[at] as number) += shift;
    if (data !== null && length > 0) memcpy(body.address + data.offset + written, run.place.data + first, length);
    written += length;
  });
}

/** Sign-extended, in words of 32 bits. */
function writeDecimals(target: Buffer, row: number, width: 2 | 4 | 8, { place, start, rows }: Run): void {
  const source = readable(place.data + start * width, rows * width);
  const words = new Int32Array(target.buffer, target.byteOffset + row * decimalBytes, rows * 4);
  const values =
    width === 2
      ? new Int16Array(source.buffer, source.byteOffset, rows)
      : new Int32Array(source.buffer, source.byteOffset, (rows * width) / 4);
  const perValue = width === 8 ? 2 : 1;
  for (let value = 0; value < rows; value++) {
    const high = values[(value + 1) * perValue - 1] as number;
    const sign = high >> 31;
    words[4 * value] = values[value * perValue] as number;
    words[4 * value + 1] = perValue === 2 ? high : sign;
    words[4 * value + 2] = sign;
    words[4 * value + 3] = sign;
  }
}
