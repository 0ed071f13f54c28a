/** Bitmaps as Arrow and DuckDB have them: least significant bit first, 1 = valid or true. */

/** Writes `count` ones from bit `at` on. */
export function setOnes(target: Uint8Array, at: number, count: number): void {
  const end = at + count;
  let bit = at;
  for (; bit < end && (bit & 7) !== 0; bit++) setBit(target, bit);
  const wholeBytes = (end - bit) >> 3;
  target.fill(0xff, bit >> 3, (bit >> 3) + wholeBytes);
  for (bit += wholeBytes << 3; bit < end; bit++) setBit(target, bit);
}

/** Copies `count` bits from bit `from` of the source to bit `at` of the target, whose bits are still 0. */
export function copyBits(source: Uint8Array, from: number, target: Uint8Array, at: number, count: number): void {
  for (let done = 0; done < count; done += 8) {
    const wanted = Math.min(8, count - done);
    putByte(target, at + done, byteFrom(source, from + done) & (0xff >> (8 - wanted)), wanted);
  }
}

/** How many of the bits are 1; those behind the last one in its byte must be 0. */
export function countOnes(bits: Uint8Array): number {
  let ones = 0;
  for (let at = 0; at < bits.length; at++) ones += onesOf[bits[at] as number] as number;
  return ones;
}

/** Packs one byte a value (0 or 1) to one bit a value, from bit `at` of the target on, whose bits are still 0. */
export function packBytes(source: Uint8Array, target: Uint8Array, at: number, count: number): void {
  const whole = count & ~7;
  for (let done = 0; done < whole; done += 8) putByte(target, at + done, packEight(source, done), 8);
  for (let done = whole; done < count; done++) putByte(target, at + done, (source[done] as number) & 1, 1);
}

/** Under a null any byte may stand, so every one is masked. */
function packEight(source: Uint8Array, at: number): number {
  const bit = (offset: number): number => ((source[at + offset] as number) & 1) << offset;
  return bit(0) | bit(1) | bit(2) | bit(3) | bit(4) | bit(5) | bit(6) | bit(7);
}

export const bitAt = (bits: Uint8Array, at: number): boolean => (((bits[at >> 3] as number) >> (at & 7)) & 1) === 1;
export const bytesOfBits = (count: number): number => (count + 7) >> 3;

const setBit = (bits: Uint8Array, at: number): void => void ((bits[at >> 3] as number) |= 1 << (at & 7));

/** Eight bits from any bit on; what lies beyond the end reads as 0. */
function byteFrom(source: Uint8Array, at: number): number {
  const byte = at >> 3;
  const shift = at & 7;
  const low = source[byte] ?? 0;
  return shift === 0 ? low : ((low >> shift) | ((source[byte + 1] ?? 0) << (8 - shift))) & 0xff;
}

/** Writes the `count` low bits of a byte; a second byte is touched only when bits reach into it. */
function putByte(target: Uint8Array, at: number, value: number, count: number): void {
  const byte = at >> 3;
  const shift = at & 7;
  target[byte] = (target[byte] as number) | ((value << shift) & 0xff);
  if (shift + count > 8) target[byte + 1] = (target[byte + 1] as number) | (value >> (8 - shift));
}

const onesOf = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);
