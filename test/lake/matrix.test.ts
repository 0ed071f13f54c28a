import { readMatrix, type Matrix } from '../../lake/matrix.js';
import { withLake, type TestLake } from '../support/lake.js';

let lake: TestLake;
beforeAll(async () => void (lake = await withLake()));
afterAll(() => lake.close());

const read = (columns: readonly string[]) =>
  lake.in(async (session) => {
    await session.run('CREATE TEMP TABLE numbered AS SELECT i::INTEGER AS row_index, i / 2 AS half, NULL AS nothing FROM range(3) t(i)'); // prettier-ignore
    const batches: Matrix[] = [];
    for await (const batch of readMatrix(session, 'numbered', columns)) batches.push(batch);
    return batches;
  });

test('rows come in the order of their index, row by row, NULL as NaN', async () => {
  expect(await read(['half', 'nothing'])).toEqual([
    { rows: 3, columns: 2, data: new Float32Array([0, NaN, 0.5, NaN, 1, NaN]) },
  ]);
});

test('a column that is not there is an error with a code and DuckDB’s sentence', async () => {
  await expect(read(['half', 'other'])).rejects.toMatchObject({
    ...{ code: 'query_failed', message: expect.stringContaining('"other"') },
  });
});
