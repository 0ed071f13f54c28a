import { DomainError } from '../../domain/errors.js';

const [quote, backslash, comma, letterN] = [0x22, 0x5c, 0x2c, 0x6e];
/** Where copying byte by byte is no longer cheaper than asking for it to be done. */
const shortBytesMax = 64;

/** JSON as it is put together: the texts of rows are copied into it byte by byte, without a string or an object for each value. */
export class JsonBytes {
  private buffer: Buffer;
  private end = 0;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(bytes, 1024));
  }

  get length(): number {
    return this.end;
  }

  text(text: string): this {
    // No character takes more bytes of UTF-8 than three for each of its units of UTF-16.
    this.reserve(text.length * 3);
    this.end += this.buffer.write(text, this.end);
    return this;
  }

  byte(byte: number): this {
    this.reserve(1);
    this.buffer[this.end++] = byte;
    return this;
  }

  all(bytes: Uint8Array): this {
    return this.copy(bytes, 0, bytes.length);
  }

  copy(from: Uint8Array, start: number, end: number): this {
    this.reserve(end - start);
    if (end - start > shortBytesMax) {
      this.buffer.set(from.subarray(start, end), this.end);
      this.end += end - start;
      return this;
    }
    const { buffer } = this;
    let to = this.end;
    for (let at = start; at < end; at++) buffer[to++] = from[at] as number;
    this.end = to;
    return this;
  }

  /** What was written so far: no copy of it. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.end);
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }
}

/** Arrays that columns of an answer share, which are written once and then copied. */
export class SharedBytes {
  private readonly made = new Map<object, Buffer>();

  of(what: object, text: () => string): Buffer {
    const known = this.made.get(what);
    if (known) return known;
    const bytes = Buffer.from(text());
    this.made.set(what, bytes);
    return bytes;
  }
}

/** Rows of the online store as bytes, and where each of their values lies: what JSON says of a value is never parsed. */
export class RowValues {
  private readonly json: JsonBytes;
  /** Where the values of a row begin, row after row, and one beyond its last comma. */
  private readonly starts: Int32Array;
  private rows = 0;
  bytes: Buffer;

  /** `texts` are JSON arrays of so many scalars each, without blanks, as both writers of the online store make them. */
  constructor(
    texts: readonly string[],
    private readonly count: number,
  ) {
    const [total, longest] = texts.reduce(([sum, max], { length }) => [sum + length, Math.max(max, length)], [0, 0]);
    this.json = new JsonBytes((total as number) + 2 * (longest as number));
    this.starts = new Int32Array(texts.length * (count + 1));
    this.bytes = this.json.bytes();
    for (const text of texts) this.add(text);
  }

  private add(text: string): void {
    const from = this.json.length;
    this.bytes = this.json.text(text).bytes();
    const { bytes, starts } = this;
    let place = this.rows++ * (this.count + 1);
    starts[place++] = from + 1;
    for (let at = from + 1; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === comma) starts[place++] = at + 1;
      else if (byte === quote) at = endOfText(bytes, at + 1);
    }
    starts[place] = bytes.length;
    if (place !== this.rows * (this.count + 1) - 1)
      throw new DomainError('internal', `A row of the online store has other than ${this.count} values.`);
  }

  start(row: number, value: number): number {
    return this.starts[row * (this.count + 1) + value] as number;
  }

  /** After the last byte: what follows is a comma, or the bracket. */
  end(row: number, value: number): number {
    return this.start(row, value + 1) - 1;
  }

  /** Of all that a scalar can be only null begins so: what is no number is text. */
  isNull(row: number, value: number): boolean {
    return this.bytes[this.start(row, value)] === letterN;
  }
}

/** Where a text that begins there ends: at its closing quote. */
function endOfText(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}
