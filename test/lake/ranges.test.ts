import { rangePlan, rangesOf } from '../../lake/read/ranges.js';
import type { PinnedTable } from '../../domain/tables.js';

const groupRows = 122_880;
const file = (rows: number, bytes: number) => ({ key: `${rows}-${bytes}.parquet`, rows, bytes });
const tableOf = (files: PinnedTable['files'], column = 'a') => ({
  columns: [{ name: column, type: 'INTEGER' }],
  files,
  rows: files.reduce((sum, { rows }) => sum + rows, 0),
});
const starts = (table: ReturnType<typeof tableOf>, bytes: number) =>
  rangesOf(table, bytes, 8).map(({ start }) => start);

test.each([
  ['a table without files', [], 1, [0]],
  ['a table smaller than an endpoint', [file(10, 100)], 101, [0]],
  ['small files, cut where they end', [file(10, 100), file(10, 100), file(10, 100), file(10, 100)], 200, [0, 20]],
  ['a large file, cut between row groups', [file(10 * groupRows, 1000)], 300, [0, 3 * groupRows, 7 * groupRows]],
  ['a large file behind a small one', [file(10, 10), file(4 * groupRows, 990)], 500, [0, 10 + 2 * groupRows]],
  ['files of which one is empty', [file(0, 50), file(50, 200), file(50, 200)], 200, [0, 50]],
  ['never more than eight ranges', [file(80 * groupRows, 8000)], 1, [0, 10, 20, 30, 40, 50, 60, 70].map((n) => n * groupRows)],
])('%s', (_, files, bytes, expected) => {
  expect(starts(tableOf(files), bytes)).toEqual(expected);
}); // prettier-ignore

test('ranges follow each other and end with the last row', () => {
  const table = tableOf([file(700_000, 700), file(3, 1), file(900_000, 900)]);
  const ranges = rangesOf(table, 200, 8);
  expect(ranges[0]?.start).toBe(0);
  expect(ranges.at(-1)?.end).toBe(table.rows);
  for (const [at, { start }] of ranges.slice(1).entries()) expect(start).toBe(ranges[at]?.end);
});

test('a file that has a column of the name of DuckDB’s row number is not cut', () => {
  expect(starts(tableOf([file(10 * groupRows, 1000)], 'FILE_row_number'), 300)).toEqual([0]);
});

test('whole files are read together, and of a file that is cut only the rows of the range', () => {
  const files = [file(10, 1), file(20, 1), file(30, 1), file(40, 1)];
  const { sql, rows, files: read } = rangePlan(tableOf(files), { start: 5, end: 65 }, '/lake');
  expect(rows).toBe(60);
  expect(read).toEqual(files.map(({ key }) => `/lake/${key}`));
  const [first, middle, last, ...more] = sql.split(' UNION ALL ');
  expect(more).toEqual([]);
  expect(first).toMatch(/10-1\.parquet'\].* WHERE file_row_number >= 5 AND file_row_number < 10$/);
  expect(middle).toMatch(/\['\/lake\/20-1\.parquet', '\/lake\/30-1\.parquet'\][^W]*$/);
  expect(last).toMatch(/40-1\.parquet'\].* WHERE file_row_number >= 0 AND file_row_number < 5$/);
});
