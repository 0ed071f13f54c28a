import fc from 'fast-check';
import { tmpdir } from 'node:os';
import { mergeProfiles } from '../../domain/decide/drift.js';
import type { ColumnProfile } from '../../domain/monitoring.js';
import { openEngine, type Engine } from '../../lake/duckdb.js';
import { profiles, referenceProfiles } from '../../lake/profiles.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ threads: 2, memoryLimit: '1GB', tempDirectory: tmpdir(), allowedDirectories: [] });
});
afterAll(() => engine.close());

const literal = (value: number | null) => (value === null ? 'NULL' : `'${value}'::DOUBLE`);
const relationOf = (values: readonly (number | null)[], type = 'DOUBLE') =>
  values.length === 0
    ? `(SELECT NULL::${type} AS x WHERE false)`
    : `(SELECT CAST(x AS ${type}) AS x FROM (VALUES ${values.map((value) => `(${literal(value)})`).join(', ')}) rows(x))`;
const reference = async (relation: string, bins?: number) =>
  (await engine.session((session) => referenceProfiles(session, relation, ['x'], bins)))[0] as ColumnProfile;
const profile = async (relation: string, like: Pick<ColumnProfile, 'column' | 'edges'>) =>
  (await engine.session((session) => profiles(session, relation, [like])))[0] as ColumnProfile;

test('a column with few distinct values has a bin for each of them, and one for what lies above', async () => {
  expect(await reference(relationOf([3, 1, 1, 2, 3, 3, null, NaN]))).toEqual({
    column: 'x',
    edges: [1, 2, 3],
    counts: [2, 1, 3, 0],
    nulls: 2,
    rows: 8,
  });
});

test('a column with many distinct values has about equally full bins', async () => {
  const { edges, counts } = await reference('(SELECT (i * 7919) % 1000 AS x FROM range(1000) rows(i))');
  expect(edges).toEqual([99, 199, 299, 399, 499, 599, 699, 799, 899]);
  expect(counts).toEqual(Array(10).fill(100));
});

test('a value that fills several quantiles makes one edge', async () => {
  const { edges, counts } = await reference('(SELECT greatest(i - 500, 0) AS x FROM range(1000) rows(i))');
  expect(edges).toEqual([0, 99, 199, 299, 399]);
  expect(counts).toEqual([501, 99, 100, 100, 100, 100]);
});

test.each<[string, (number | null)[], Partial<ColumnProfile>]>([
  ['no rows', [], { edges: [], counts: [0], nulls: 0, rows: 0 }],
  ['only NULL', [null, null], { edges: [], counts: [0], nulls: 2, rows: 2 }],
  ['only NaN', [NaN], { edges: [], counts: [0], nulls: 1, rows: 1 }],
  ['0 and −0', [0, -0, 0], { edges: [0], counts: [3, 0], nulls: 0, rows: 3 }],
])('a reference of %s has a profile too', async (_, values, expected) =>
  expect(await reference(relationOf(values))).toEqual({ column: 'x', ...expected }),
);

test('infinities are values, in the first bin and the last', async () => {
  const like = { column: 'x', edges: [0, 1] };
  expect(await profile(relationOf([-Infinity, 0, 0.5, Infinity, Infinity, 1e300]), like)).toMatchObject({
    counts: [2, 1, 3],
    nulls: 0,
  });
});

test('a value keeps its bin when it is rounded to float32', async () => {
  const values = [0.1, 0.2, 0.3, 0.7];
  const before = await reference(relationOf(values));
  expect(before.counts).toEqual([1, 1, 1, 1, 0]);
  expect(await profile(relationOf(values, 'FLOAT'), before)).toEqual(before);
});

test.each(['BOOLEAN', 'TINYINT', 'BIGINT', 'FLOAT', 'DECIMAL(18,3)'])('%s columns are counted', async (type) => {
  expect(await reference(relationOf([0, 1, 1], type))).toMatchObject({ edges: [0, 1], counts: [1, 2, 0] });
});

test('a column of words is an error of the query', async () => {
  await expect(reference("(SELECT 'JFK' AS x)")).rejects.toMatchObject({ code: 'query_failed' });
});

test('many columns are profiled at once, in the order asked for', async () => {
  const columns = Array.from({ length: 70 }, (_, index) => `column ${index}`);
  const relation = `(SELECT ${columns.map((column, index) => `i % ${index + 2} AS "${column}"`).join(', ')} FROM range(10000) rows(i))`;
  const found = await engine.session((session) => referenceProfiles(session, relation, columns));
  expect(found.map(({ column }) => column)).toEqual(columns);
  for (const [index, { edges, counts, rows }] of found.entries()) {
    expect(edges.length).toBe(index + 2 <= 20 ? index + 2 : 9);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rows);
  }
});

const value = fc.oneof(
  fc.constantFrom(null, NaN, Infinity, -Infinity, 0, -0, 1),
  fc.integer({ min: -5, max: 5 }),
  fc.double({ noNaN: false }),
);
const values = fc.array(value, { maxLength: 60 });

test('counts are what counting one by one gives, and every row is in one bin', async () => {
  await fc.assert(
    fc.asyncProperty(values, values, fc.integer({ min: 2, max: 6 }), async (before, after, bins) => {
      const like = await reference(relationOf(before), bins);
      expect(like.edges).toEqual([...new Set(like.edges)].sort((a, b) => a - b));
      expect(like.edges.every(Number.isFinite)).toBe(true);
      for (const [side, counted] of [
        [before, like],
        [after, await profile(relationOf(after), like)],
      ] as const) {
        const numbers = side.filter((one): one is number => one !== null && !Number.isNaN(one)).map(toFloat32);
        const upTo = (edge: number) => numbers.filter((one) => one <= edge).length;
        const cumulative = [...like.edges.map(upTo), numbers.length];
        expect(counted.counts).toEqual(cumulative.map((count, bin) => count - (cumulative[bin - 1] ?? 0)));
        expect(counted).toMatchObject({ nulls: side.length - numbers.length, rows: side.length, edges: like.edges });
      }
    }),
    { numRuns: 60 },
  );
});

test('profiles of parts add up to the profile of the whole, in any order of rows', async () => {
  await fc.assert(
    fc.asyncProperty(values, values, async (one, other) => {
      const like = await reference(relationOf([...one, ...other]), 3);
      const parts = mergeProfiles(await profile(relationOf(one), like), await profile(relationOf(other), like));
      expect(parts).toEqual(await profile(relationOf([...other, ...one].reverse()), like));
      expect(parts).toEqual(like);
      expect(await reference(relationOf([...other, ...one].reverse()), 3)).toEqual(like);
    }),
    { numRuns: 40 },
  );
});

const float32Max = 3.4028234663852886e38;
const toFloat32 = (one: number) => Math.fround(Math.min(Math.max(one, -float32Max), float32Max));
