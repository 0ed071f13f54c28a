import fc from 'fast-check';
import { driftOf, mergeProfiles, psi, psiNoise } from '../../domain/decide/drift.js';
import type { ColumnProfile } from '../../domain/monitoring.js';

test.each<[string, number[], number[], number | null]>([
  ['equal counts', [10, 20, 30], [10, 20, 30], 0],
  ['equal shares', [1, 2, 3], [10, 20, 30], 0],
  ['two bins', [50, 50], [25, 75], (0.5 - 0.25) * Math.log(0.5 / 0.25) + (0.75 - 0.5) * Math.log(0.75 / 0.5)],
  ['a bin empty now counts as half a row', [50, 50], [0, 10], (0.5 - 0.05) * Math.log(10) + 0.5 * Math.log(2)],
  ['a bin empty before counts as half a row', [0, 10], [50, 50], (0.5 - 0.05) * Math.log(10) + 0.5 * Math.log(2)],
  ['a bin that is always empty counts nothing', [5, 0, 5], [7, 0, 7], 0],
  ['no reference', [0, 0], [1, 2], null],
  ['no rows now', [1, 2], [0, 0], null],
  ['no bins', [], [], null],
])('PSI of %s', (_, reference, current, expected) => {
  const found = psi(reference, current);
  if (expected === null || expected === 0) expect(found).toBe(expected);
  else expect(found).toBeCloseTo(expected, 14);
});

test('counts over other bins are refused', () => {
  expect(() => psi([1, 2], [1, 2, 3])).toThrow(expect.objectContaining({ code: 'internal' }));
});

const sides = fc.integer({ min: 1, max: 12 }).chain((bins) => {
  const counts = fc.array(fc.oneof(fc.constant(0), fc.nat(5), fc.nat(1_000_000)), { minLength: bins, maxLength: bins });
  return fc.tuple(counts, counts);
});
const rowsOf = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0);

test('PSI is never negative, and 0 exactly for equal shares', () => {
  fc.assert(
    fc.property(sides, ([reference, current]) => {
      const found = psi(reference, current);
      const [n, m] = [BigInt(rowsOf(reference)), BigInt(rowsOf(current))];
      if (n === 0n || m === 0n) return expect(found).toBeNull();
      const proportional = reference.every((count, bin) => BigInt(count) * m === BigInt(current[bin] ?? 0) * n);
      expect(found).toBeGreaterThanOrEqual(0);
      expect(found === 0).toBe(proportional);
    }),
  );
});

test('PSI of a multiple of the same counts is 0', () => {
  fc.assert(
    fc.property(sides, fc.integer({ min: 1, max: 1000 }), ([counts], times) => {
      fc.pre(rowsOf(counts) > 0);
      const multiple = counts.map((count) => count * times);
      expect(psi(counts, multiple)).toBe(0);
    }),
  );
});

test('PSI is the same both ways round, to the last bit', () => {
  fc.assert(
    fc.property(sides, ([reference, current]) => expect(psi(reference, current)).toBe(psi(current, reference))),
  );
});

test.each([
  [10, 10_000, 100, 0.0909],
  [10, 10_000, 1000, 0.0099],
  [1, 10, 10, 0],
  [0, 10, 10, 0],
])('%d bins, %d rows before and %d now: a PSI of %d is to be expected without any drift', (bins, n, m, expected) =>
  expect(psiNoise(bins, n, m)).toBeCloseTo(expected, 4),
);

test('the expected PSI is what samples of one distribution have on average', () => {
  const [bins, n, m, rounds] = [10, 2000, 500, 400];
  let state = 7;
  // Numerical Recipes’ generator; its upper bits are good enough to draw bins.
  const draw = () => Math.floor(((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * bins);
  const sample = (rows: number) => {
    const counts = Array<number>(bins).fill(0);
    for (let row = 0; row < rows; row += 1) {
      const bin = draw();
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    return counts;
  };
  const mean =
    Array.from({ length: rounds }, () => psi(sample(n), sample(m)) ?? 0).reduce((sum, one) => sum + one, 0) / rounds;
  const expected = psiNoise(bins, n, m) ?? 0;
  expect(Math.abs(mean / expected - 1)).toBeLessThan(0.15);
});

const profile = (counts: number[], nulls: number, edges = [1, 2]): ColumnProfile => ({
  column: 'distance',
  edges,
  counts,
  nulls,
  rows: rowsOf(counts) + nulls,
});

test('drift of a column counts NULL as a bin of its own', () => {
  const [drift] = driftOf([profile([50, 50, 0], 0)], [profile([25, 25, 0], 50)]);
  expect(drift).toMatchObject({ column: 'distance', nullShare: 0.5, noise: psiNoise(3, 100, 100) });
  expect(drift?.psi).toBeCloseTo(psi([50, 50, 0], [25, 25, 50]) ?? NaN, 14);
  expect(driftOf([profile([5, 5, 0], 0)], [profile([0, 0, 0], 0)])[0]).toMatchObject({ psi: null, nullShare: null });
});

test('profiles over other edges are neither compared nor added up', () => {
  const [one, other] = [profile([1, 1, 1], 0), profile([1, 1, 1], 0, [1, 3])];
  expect(() => driftOf([one], [other])).toThrow('same column and edges');
  expect(() => mergeProfiles(one, other)).toThrow('same column and edges');
  expect(() => driftOf([one], [])).toThrow('no current profile of distance');
  expect(mergeProfiles(one, profile([0, 2, 0], 3))).toEqual(profile([1, 3, 1], 3));
});
