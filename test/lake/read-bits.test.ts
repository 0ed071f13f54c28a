import fc from 'fast-check';
import { bitAt, bytesOfBits, copyBits, countOnes, packBytes, setOnes } from '../../lake/read/bits.js';

const bits = fc.array(fc.boolean(), { maxLength: 200 });
const packed = (values: readonly boolean[]): Uint8Array => {
  const bytes = new Uint8Array(bytesOfBits(values.length));
  values.forEach((value, at) => value && ((bytes[at >> 3] as number) |= 1 << (at & 7)));
  return bytes;
};
const read = (bytes: Uint8Array, count: number): boolean[] =>
  Array.from({ length: count }, (_, at) => bitAt(bytes, at));

test('bits copied piece by piece, from any bit to any bit, are the bits in a row, and the ones are counted', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(bits, fc.nat(40)), { maxLength: 6 }), (pieces) => {
      const all = pieces.flatMap(([values, from]) => values.slice(from));
      const target = new Uint8Array(bytesOfBits(all.length));
      let at = 0;
      for (const [values, from] of pieces) {
        const count = Math.max(0, values.length - from);
        copyBits(packed(values), from, target, at, count);
        at += count;
      }
      expect(read(target, all.length)).toEqual(all);
      expect(countOnes(target)).toBe(all.filter(Boolean).length);
    }),
  );
});

test('bytes are packed to bits by their lowest bit, whatever stands above it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(20), (bytes, before) => {
      const target = new Uint8Array(bytesOfBits(before + bytes.length));
      packBytes(bytes, target, before, bytes.length);
      expect(read(target, before + bytes.length)).toEqual([
        ...Array.from({ length: before }, () => false),
        ...Array.from(bytes, (byte) => (byte & 1) === 1),
      ]);
    }),
  );
});

test('a run of ones touches no bit outside of it', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.nat(100), fc.nat(50), (before, count, after) => {
      const total = before + count + after;
      const target = new Uint8Array(bytesOfBits(total));
      setOnes(target, before, count);
      expect(read(target, total)).toEqual(
        Array.from({ length: total }, (_, at) => at >= before && at < before + count),
      );
    }),
  );
});
