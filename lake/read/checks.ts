import { DomainError } from '../../domain/errors.js';
import { bitAt } from './bits.js';
import { decimalBytes, type Check } from './layout.js';
import type { ArrayNode } from './places.js';

const limit = 10n ** 38n;
/** Below it in its highest 32 bits a number is below the limit. */
const highestWord = Number(limit >> 96n);

/** A number with more digits than Arrow's decimals hold is an error of the stream, never another number. */
export function checkValues(check: Check, { column, rows }: ArrayNode, data: Buffer, validity: Buffer | null): void {
  const words = new Int32Array(data.buffer, data.byteOffset, rows * 4);
  for (let row = 0; row < rows; row++) {
    const top = words[4 * row + 3] as number;
    if (top < highestWord && top >= (check === 'signed38' ? -highestWord : 0)) continue;
    if ((validity === null || bitAt(validity, row)) && !fits(data, row, check))
      throw new DomainError('query_failed', `A number in column "${column}" has more than 38 digits, which Arrow's decimals do not hold. Cast it to VARCHAR.`); // prettier-ignore
  }
}

function fits(data: Buffer, row: number, check: Check): boolean {
  const at = row * decimalBytes;
  const top = check === 'signed38' ? data.readBigInt64LE(at + 8) : data.readBigUInt64LE(at + 8);
  const value = (top << 64n) + data.readBigUInt64LE(at);
  return value < limit && value > -limit;
}
