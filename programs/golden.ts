import { DuckDBInstance } from '@duckdb/node-api';

/** Rows that a trainer chose, with its own predictions for them. */
export interface Golden {
  /** Row by row, in the order of the model's inputs; null for a missing value. */
  readonly inputs: (number | null)[][];
  readonly predictions: number[];
}

export const goldenRowsMax = 10_000;
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Reads `golden.parquet`; throws an Error that says what is wrong with it. */
export async function readGolden(path: string, columns: readonly string[]): Promise<Golden> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  try {
    const connection = await instance.connect();
    const list = [...columns, 'prediction'].map((name) => `CAST(${quoted(name)} AS FLOAT)`).join(', ');
    const sql = `SELECT ${list} FROM read_parquet($path) LIMIT ${goldenRowsMax + 1}`;
    const rows = (await connection.runAndReadAll(sql, { path })).getRowsJS() as (number | null)[][];
    if (rows.length === 0) throw new Error('it has no rows');
    if (rows.length > goldenRowsMax) throw new Error(`it has more than ${goldenRowsMax} rows`);
    const predictions = rows.map((row) => row.at(-1) ?? NaN);
    if (!predictions.every(Number.isFinite)) throw new Error('a prediction is missing or not finite');
    const inputs = rows.map((row) => row.slice(0, -1).map((value) => (Number.isNaN(value) ? null : value)));
    return { inputs, predictions };
  } finally {
    instance.closeSync();
  }
}
