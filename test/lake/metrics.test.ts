import fc from 'fast-check';
import { tmpdir } from 'node:os';
import { openEngine, type Engine } from '../../lake/duckdb.js';
import { binaryMetrics, type BinaryPredictions } from '../../lake/metrics.js';

/** Exact, repeatable metrics of binary predictions. test/clients/statistics compares them with scikit-learn. */

const open = (threads: number) =>
  openEngine({ threads, memoryLimit: '1GB', tempDirectory: tmpdir(), allowedDirectories: [] });
let engine: Engine;
beforeAll(async () => (engine = await open(2)));
afterAll(() => engine.close());

type Row = readonly [prediction: number | null, positive: boolean | null];

const evaluate = (relation: string, options: Partial<BinaryPredictions> = {}) =>
  engine.session((session) => binaryMetrics(session, { relation, label: 'late', prediction: 'p', ...options }));
const relationOf = (rows: readonly Row[], type = 'DOUBLE') =>
  `(SELECT CAST(p AS ${type}) AS p, late FROM (VALUES ${rows
    .map(([p, late]) => `(${p === null ? 'NULL' : `'${p}'::DOUBLE`}, ${late}::BOOLEAN)`)
    .join(', ')}) rows(p, late))`;
const overall = async (rows: readonly Row[], type?: string) => (await evaluate(relationOf(rows, type))).overall;

test('four rows have the figures that one can work out by hand', async () => {
  const rows: Row[] = [
    [0.125, false],
    [0.5, false],
    [0.25, true],
    [0.75, true],
  ];
  expect(await overall(rows)).toEqual({
    rows: 4,
    positives: 2,
    auc: 0.75,
    log_loss: expect.closeTo(-(Math.log(0.875) + Math.log(0.5) + Math.log(0.25) + Math.log(0.75)) / 4, 15),
    brier: (0.125 ** 2 + 0.5 ** 2 + 0.75 ** 2 + 0.25 ** 2) / 4,
    calibration_gap: 1.625 / 4 - 0.5,
    calibration_error: (0.125 + 0.5 + 0.75 + 0.25) / 4,
  });
});

test.each<[string, Row[], number | null]>([
  ['a tie counts half', [[0.5, false], [0.5, true]], 0.5],
  ['all pairs won', [[0.1, false], [0.2, false], [0.3, true]], 1],
  ['all pairs lost', [[0.9, false], [0.3, true]], 0],
  ['one win, one tie of two pairs', [[0.1, false], [0.3, false], [0.3, true]], 0.75],
  ['without positives it is not known', [[0.1, false], [0.3, false]], null],
  ['without negatives it is not known', [[0.1, true]], null],
])('AUC: %s', async (_, rows, auc) => expect((await overall(rows)).auc).toBe(auc)); // prettier-ignore

test('without judged rows nothing is known', async () => {
  const { overall, slices, calibration } = await evaluate(relationOf([[0.5, null]]), { slices: ['late'] });
  expect(overall).toEqual({
    rows: 0, positives: 0, auc: null, log_loss: null, brier: null, calibration_gap: null, calibration_error: null,
  }); // prettier-ignore
  expect(slices).toEqual([]);
  expect(calibration).toHaveLength(10);
  expect(calibration[0]).toEqual({ lower: 0, upper: 0.1, rows: 0, meanPrediction: null, positiveShare: null });
});

test('rows without a label or a prediction are not judged', async () => {
  const known: Row[] = [[0.2, false], [0.7, true]]; // prettier-ignore
  expect(await overall([...known, [0.9, null], [null, true]])).toEqual(await overall(known));
});

test('a certain and wrong prediction costs what the precision of its type allows', async () => {
  const rows: Row[] = [[1, false], [0, true]]; // prettier-ignore
  expect((await overall(rows, 'DOUBLE')).log_loss).toBeCloseTo(52 * Math.LN2, 12);
  expect((await overall(rows, 'FLOAT')).log_loss).toBeCloseTo(23 * Math.LN2, 12);
});

test.each([NaN, -0.01, 1.01, Infinity])('%d is refused as a prediction', async (bad) => {
  const rows: Row[] = [[0.5, true], [bad, false], [0.2, null]]; // prettier-ignore
  await expect(overall(rows)).rejects.toMatchObject({ code: 'prediction_invalid', data: { column: 'p', rows: 1 } });
  await expect(overall([[0.5, true], [bad, null]])).resolves.toMatchObject({ rows: 1 }); // prettier-ignore
});

test('a column that does not exist is an error of the query, and leaves the session fit', async () => {
  await engine.session(async (session) => {
    const wanted = { relation: relationOf([[0.5, true]]), label: 'late', prediction: 'p' };
    await expect(binaryMetrics(session, { ...wanted, slices: ['carrier'] })).rejects.toMatchObject({
      code: 'query_failed',
    });
    expect((await binaryMetrics(session, wanted)).overall.rows).toBe(1);
  });
});

test.each([
  [0, 0], [0.1, 0], [0.10000000000000002, 1], [0.3, 2], [0.30000000000000004, 2], [0.3000000000000001, 3],
  [0.5, 4], [0.7, 6], [0.9, 8], [0.9000000000000001, 9], [1, 9],
])('a prediction of %d lies in bin %d: bins are open below and closed above', async (p, bin) => {
  const { calibration } = await evaluate(relationOf([[p, true]]));
  expect(calibration.findIndex(({ rows }) => rows === 1)).toBe(bin);
  expect(calibration[bin]).toMatchObject({ meanPrediction: expect.closeTo(p, 15), positiveShare: 1 });
}); // prettier-ignore

describe('slices', () => {
  const relation = `(SELECT i % 7 < 2 AS late, (i % 10) / 10.0::DOUBLE AS p, CASE WHEN i < 50 THEN 'JFK' WHEN i < 80 THEN 'LGA' WHEN i < 90 THEN NULL ELSE 'EWR' END AS origin,
    CAST(i % 2 AS INTEGER) AS hour FROM range(100) rows(i))`;

  test('have metrics of their own, most rows first, rows without a value among them', async () => {
    const { overall, slices } = await evaluate(relation, { slices: ['origin', 'hour'] });
    expect(slices.map(({ column, value, metrics }) => [column, value, metrics.rows])).toEqual([
      ['origin', 'JFK', 50],
      ['origin', 'LGA', 30],
      ['origin', 'EWR', 10],
      ['origin', null, 10],
      ['hour', '0', 50],
      ['hour', '1', 50],
    ]);
    for (const column of ['origin', 'hour']) {
      const parts = slices.filter((slice) => slice.column === column).map(({ metrics }) => metrics);
      expect(parts.reduce((sum, { positives }) => sum + positives, 0)).toBe(overall.positives);
    }
    const alone = await evaluate(`(FROM ${relation} WHERE origin = 'LGA')`);
    expect(slices[1]?.metrics).toEqual(alone.overall);
  });

  test('with too few rows are left out', async () => {
    const { slices } = await evaluate(relation, { slices: ['origin'], sliceRowsMin: 30 });
    expect(slices.map(({ value }) => value)).toEqual(['JFK', 'LGA']);
  });

  test('are at most a thousand of a column, those with most rows', async () => {
    const many = `(SELECT i % 2 = 0 AS late, 0.5::DOUBLE AS p, least(i, 1500) AS number FROM range(2000) rows(i))`;
    const { slices } = await evaluate(many, { slices: ['number'] });
    expect(slices).toHaveLength(1000);
    expect(slices[0]).toMatchObject({ value: '1500', metrics: { rows: 500 } });
  });
});

test('the order of rows and the number of threads do not change one bit', async () => {
  const rows = `SELECT hash(i) % 100 < 30 AS late, (hash(i + 1) % 1000003) / 1000003.0::DOUBLE AS p, hash(i + 2) % 5 AS origin, i FROM range(300000) rows(i)`;
  const seen = new Set<string>();
  for (const threads of [1, 2, 4]) {
    const other = await open(threads);
    for (const order of ['i', 'i DESC', 'hash(i + 3)', 'p'])
      await other.session(async (session) => {
        await session.run(`CREATE TEMP TABLE scored AS FROM (${rows}) ORDER BY ${order}`);
        const options = { relation: 'scored', label: 'late', prediction: 'p', slices: ['origin'] };
        seen.add(JSON.stringify(await binaryMetrics(session, options)));
      });
    other.close();
  }
  expect(seen.size).toBe(1);
  // Plain sums of doubles do change: if they did not, this test would show nothing.
  const plain = new Set<string>();
  await engine.session(async (session) => {
    for (const order of ['i', 'i DESC', 'p']) {
      const [row] = await session.rows<{ total: number }>(
        `SELECT sum(p) AS total FROM (FROM (${rows}) ORDER BY ${order} LIMIT 300000)`,
      );
      plain.add(String(row?.total));
    }
  });
  expect(plain.size).toBeGreaterThan(1);
});

test('AUC is the share of pairs that a count of all pairs gives', async () => {
  const row = fc.tuple(
    fc.integer({ min: 0, max: 8 }).map((eighths) => eighths / 8),
    fc.boolean(),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 30 }), async (rows) => {
      const [positives, negatives] = [rows.filter(([, late]) => late), rows.filter(([, late]) => !late)];
      const won = positives.flatMap(([p]) => negatives.map(([other]) => (p > other ? 1 : p === other ? 0.5 : 0)));
      const auc = won.length === 0 ? null : won.reduce<number>((sum, one) => sum + one, 0) / won.length;
      expect((await overall(rows)).auc).toBe(auc);
    }),
    { numRuns: 40 },
  );
});
