import fc from 'fast-check';
import type { Column, Window } from '../../domain/features.js';
import { fromMicros } from '../../domain/instants.js';
import {
  bucketOf,
  distinctTexts,
  mergeStatistics,
  quantile,
  relativeError,
  summaryOf,
  valuesMax,
  type ColumnStatistics,
} from '../../domain/statistics.js';
import { windowStatistics } from '../../lake/statistics.js';
import { withLake, type TestLake } from '../support/lake.js';

/** Statistics of windows, computed by DuckDB, against those of all rows at once and against the values themselves. */

const hourMicros = 3600e6;
const columns: Column[] = [
  { name: 'x', type: 'DOUBLE' },
  { name: 'n', type: 'BIGINT' },
  { name: 'f', type: 'FLOAT' },
  { name: 'word', type: 'VARCHAR' },
  { name: 'flag', type: 'BOOLEAN' },
  { name: 'day', type: 'DATE' },
];

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

interface Row {
  readonly hour: number;
  readonly x: string | null;
  readonly n: number | null;
  readonly word: string | null;
}

const hours = (count: number, size = 1): Window[] =>
  Array.from({ length: count }, (_, at) => ({
    start: fromMicros(at * size * hourMicros),
    end: fromMicros((at + 1) * size * hourMicros),
  }));

/** Of windows of that many hours, in order. */
const statisticsOf = (relation: string, windows: number, size = 1): Promise<ColumnStatistics[][]> =>
  lake.in(async (session) => {
    const slices = { relation, eventTime: 'at', windows: hours(windows, size), windowMicros: size * hourMicros };
    return [...(await windowStatistics(session, slices, columns)).values()];
  });

const text = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`);
const relationOf = (rows: readonly Row[]) => {
  const values = rows.map(
    ({ hour, x, n, word }) =>
      `(to_timestamp(${hour * 3600})::TIMESTAMP, ${text(x)}::DOUBLE, ${n ?? 'NULL'}::BIGINT, ${text(x)}::DOUBLE::FLOAT, ${text(word)}::VARCHAR, (${n ?? 'NULL'} % 2 = 0)::BOOLEAN, NULL::DATE)`,
  );
  return `(FROM (VALUES ${[...values, "(TIMESTAMP '1999-01-01', 1, 1, 1, 'outside', true, NULL)"].join(', ')}) AS rows("at", ${columns.map(({ name }) => name).join(', ')}))`;
};

const anyRow = fc.record<Row>({
  hour: fc.integer({ min: 0, max: 3 }),
  x: fc.option(
    fc.oneof(
      fc.double({ min: -1e30, max: 1e30 }).map(String),
      fc.constantFrom('nan', 'inf', '-inf', '0', '-0', '5e-30'),
    ),
  ),
  n: fc.option(fc.integer({ min: -1000, max: 1000 })),
  word: fc.option(fc.oneof(fc.constantFrom('a', 'b', '__proto__', "it's"), fc.string({ maxLength: 4 }))),
});

test('statistics of windows, added, are those of all their rows', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRow, { maxLength: 40 }), async (rows) => {
      const relation = relationOf(rows);
      const merged = mergeStatistics(await statisticsOf(relation, 4));
      expect(merged).toEqual((await statisticsOf(relation, 1, 4))[0]);
    }),
    { numRuns: 60 },
  );
});

test('of more texts than are kept, those kept are the same whether windows are added or counted at once', async () => {
  const relation = `(SELECT to_timestamp((i % 4) * 3600)::TIMESTAMP AS "at", i::DOUBLE AS x, i AS n, i::FLOAT AS f, 'word ' || (hash(i) % 5000) AS word, true AS flag, DATE '2001-01-01' AS day FROM range(20000) t(i))`;
  const merged = mergeStatistics(await statisticsOf(relation, 4)) ?? [];
  expect(merged).toEqual((await statisticsOf(relation, 1, 4))[0]);
  const word = merged.find(({ column }) => column === 'word') as ColumnStatistics;
  expect(Object.keys(word.values)).toHaveLength(valuesMax);
  expect(Object.values(word.values).reduce((a, b) => a + b, word.other)).toBe(20000);
  const [exact] = await lake.query<{ n: number }>(`SELECT count(DISTINCT word)::DOUBLE AS n FROM ${relation}`);
  const { count, exact: isExact } = distinctTexts(word);
  expect(isExact).toBe(false);
  // 256 kept hashes tell the number to within about 6 % (one standard deviation).
  expect(Math.abs(count / (exact?.n ?? 0) - 1)).toBeLessThan(0.2);
});

test('every quantile is within the promised relative error of the value that holds its rank', async () => {
  const value = fc.double({ min: -1e12, max: 1e12, noNaN: true });
  await fc.assert(
    fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 60 }), async (values) => {
      const rows = values.map((x) => ({ hour: 0, x: String(x), n: null, word: null }));
      const [[x]] = (await statisticsOf(relationOf(rows), 1)) as [[ColumnStatistics]];
      const sorted = [...values].sort((a, b) => a - b);
      for (const share of [0, 0.1, 0.5, 0.9, 1]) {
        const exact = sorted[Math.floor(share * (sorted.length - 1))] as number;
        const found = quantile(x, share) as number;
        expect(Math.abs(found - exact)).toBeLessThanOrEqual(Math.abs(exact) * relativeError * (1 + 1e-9));
      }
      for (const one of values) expect(x.buckets[bucketOf(one)]).toBeGreaterThan(0);
    }),
    { numRuns: 40 },
  );
});

test('what is no ordinary number is counted for itself, and infinities are the outermost quantiles', async () => {
  const rows = ['nan', 'inf', '-inf', '0', '-0', null, '3'].map((x) => ({ hour: 0, x, n: 2, word: null }));
  const [found] = await statisticsOf(relationOf(rows), 1);
  const x = found?.[0] as ColumnStatistics;
  expect(x).toMatchObject({ rows: 7, nulls: 1, nan: 1, infinite: { positive: 1, negative: 1 }, min: 0, max: 3 });
  expect(x.buckets).toEqual({ 0: 2, [bucketOf(3)]: 1 });
  expect([quantile(x, 0), quantile(x, 0.5), quantile(x, 1)]).toEqual([-Infinity, 0, Infinity]);
  expect(summaryOf(x)).toMatchObject({ quantiles: { 0.01: '-Infinity', 0.5: 0 } });
});

test('a window without a row has statistics of nothing', async () => {
  const [, empty] = await statisticsOf(relationOf([{ hour: 0, x: '1', n: 1, word: 'a' }]), 2);
  expect(empty).toHaveLength(columns.length);
  expect(empty?.[0]).toMatchObject({ rows: 0, nulls: 0, min: null, buckets: {} });
  expect(quantile(empty?.[0] as ColumnStatistics, 0.5)).toBeNull();
  expect(mergeStatistics([])).toBeNull();
});
