import { tablePlan } from '../../lake/read/table.js';
import { createTestLake, type TestLake } from '../flight/lake.js';

/** Tables with pushed rows among their files: row by row, in the order of the files, on DuckDB. */

let lake: TestLake;
beforeAll(async () => (lake = await createTestLake()));
afterAll(() => lake.remove());

const dayRows = 100_000;
const keys = [{ name: 'id', type: 'BIGINT' }];
const rows = (day: number, where: string, value: string, column: string) =>
  `SELECT id, TIMESTAMP '2026-01-01' + to_days(${day}) AS "at", CASE WHEN id % 2 = 0 THEN "at" END AS known, ${value} AS "${column}"
   FROM range(${dayRows}) AS t(id) WHERE ${where} ORDER BY hash(id)`;

/** Four days, of which rows were pushed to the second and the third: more than the second has, and a hundredth of the third. */
async function corrected(name: string, column: string) {
  const queries = [
    ...[rows(0, 'true', '0', column), rows(1, 'id < 1000', '1', column), rows(1, 'id % 2 = 0', '-1', column)],
    ...[rows(2, 'true', '2', column), rows(2, 'id % 100 = 0', '-2', column), rows(3, 'true', '3', column)],
  ];
  const table = await lake.add(name, queries);
  const files = table.files.map((file, at) => (at === 2 || at === 4 ? { ...file, lane: 'pushes' as const } : file));
  return { ...table, files, corrections: { keys, eventTime: 'at', knownAt: 'known', first: 1, end: 5 } };
}

test('the rows that no pushed one corrects keep their places, whichever side is larger', async () => {
  const table = await corrected('days', 'value');
  const { sql, rows: counted, scan } = tablePlan(table, lake.root);
  expect([counted, scan]).toEqual([null, false]);
  const kept = ['value <> 1 OR id % 2 = 1', 'value <> 2 OR id % 100 > 0'].join(') AND (');
  const files = lake.pathsOf(table).map((path) => `'${path}'`);
  const expected = `SELECT * FROM (SELECT * FROM read_parquet([${files.join(', ')}])) WHERE (${kept})`;
  const placed = (query: string) => `(SELECT *, row_number() OVER () AS place FROM (${query}))`;
  const different = await lake.rows(`SELECT count(*) AS n FROM ${placed(sql)} AS a FULL JOIN ${placed(expected)} AS b
    ON a.place = b.place AND a.id = b.id AND a."at" = b."at" AND a.value = b.value WHERE a.id IS NULL OR b.id IS NULL`);
  expect(different).toEqual([{ n: '0' }]);
});

test('of columns with the names of DuckDB’s own the rows are ordered by their content', async () => {
  const { sql } = tablePlan(await corrected('clashing', 'file_index'), lake.root);
  const of = await lake.rows(`SELECT file_index, count(*) AS n FROM (${sql}) GROUP BY ALL ORDER BY ALL`);
  const counts = { '-2': 1_000, '-1': 50_000, 0: 100_000, 1: 500, 2: 99_000, 3: 100_000 };
  expect(of).toEqual(Object.entries(counts).map(([value, n]) => ({ file_index: Number(value), n: String(n) })).sort((a, b) => a.file_index - b.file_index)); // prettier-ignore
});
