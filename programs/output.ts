import { createWriteStream } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { DomainError } from '../domain/errors.js';

const lineMaxBytes = 4096;
const lastLinesMax = 50;
const newline = 10;

/** Cuts a stream of bytes into lines; a line longer than `lineMaxBytes` loses its end, so memory is bounded. */
export function lineSplitter(onLine: (line: string) => void) {
  let parts: Buffer[] = [];
  let length = 0;
  const emit = () => {
    // Control characters (escape sequences, NUL) would reach somebody's terminal.
    const text = Buffer.concat(parts)
      .toString('utf8')
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
    onLine(length > lineMaxBytes ? `${text}… (${length - lineMaxBytes} more bytes)` : text);
    parts = [];
    length = 0;
  };
  return {
    push(chunk: Buffer): void {
      for (let start = 0; start < chunk.length;) {
        const end = chunk.indexOf(newline, start);
        const piece = chunk.subarray(start, end === -1 ? chunk.length : end);
        if (length < lineMaxBytes) parts.push(piece.subarray(0, lineMaxBytes - length));
        length += piece.length;
        if (end === -1) return;
        emit();
        start = end + 1;
      }
    },
    end(): void {
      if (length > 0) emit();
    },
  };
}

/**
 * The log of one program: the first `maxBytes` of it and its last lines. Memory and disk stay bounded, however much is
 * printed.
 */
export class BoundedLog {
  readonly #file: WriteStream | null;
  readonly #maxBytes: number;
  #writtenBytes = 0;
  #leftOutLines = 0;
  #lastLines: string[] = [];

  /** `path` null keeps the last lines only. */
  constructor(path: string | null, maxBytes: number) {
    this.#file = path === null ? null : createWriteStream(path);
    this.#file?.on('error', () => {}); // `end` reports it.
    this.#maxBytes = maxBytes;
  }

  add(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > lastLinesMax * 2) this.#lastLines = this.#lastLines.slice(-lastLinesMax);
    const text = `${line}\n`;
    const bytes = Buffer.byteLength(text);
    if (this.#leftOutLines > 0 || this.#writtenBytes + bytes > this.#maxBytes) {
      this.#leftOutLines += 1;
      return;
    }
    this.#writtenBytes += bytes;
    this.#file?.write(text);
  }

  get lastLines(): string[] {
    return this.#lastLines.slice(-lastLinesMax);
  }

  /** Throws `lake_write_failed` when the file could not be written, e.g. because the disk is full. */
  async end(): Promise<void> {
    if (this.#file === null) return;
    if (this.#leftOutLines > 0) {
      const tail = this.lastLines.slice(-Math.min(lastLinesMax, this.#leftOutLines));
      this.#file.write(
        `… ${this.#leftOutLines - tail.length} lines left out: the log holds ${this.#maxBytes} bytes …\n`,
      );
      this.#file.write(tail.map((line) => `${line}\n`).join(''));
    }
    this.#file.end();
    await finished(this.#file).catch((error: unknown) => {
      throw new DomainError('lake_write_failed', `A program's log cannot be written: ${String(error)}.`, {}, { cause: error }); // prettier-ignore
    });
  }
}
