import { DuckDBDataChunk, FLOAT, INTEGER } from '@duckdb/node-api';
import { quoteName, type Session } from './duckdb.js';

/** Rows as a model takes them: row-major float32, NaN for NULL. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** The name of the column that numbers rows from 0, by which predictions find their rows again. */
export const rowIndex = 'row_index';

/** Reads columns of a numbered table in batches, in the order of its row index. */
export async function* readMatrix(session: Session, table: string, columns: readonly string[]): AsyncGenerator<Matrix> {
  const list = columns.map((column) => `${quoteName(column)}::FLOAT`).join(', ');
  const result = await session.chunks(`SELECT ${list} FROM ${table} ORDER BY ${rowIndex}`);
  for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const rows = chunk.rowCount;
    const data = new Float32Array(rows * columns.length);
    for (let column = 0; column < columns.length; column++) {
      const values = chunk.getColumnValues(column) as (number | null)[];
      for (let row = 0; row < rows; row++) data[row * columns.length + column] = values[row] ?? NaN;
    }
    yield { rows, columns: columns.length, data };
  }
}

/** Writes batches of predictions, in the order in which the rows were read, into a temporary table (row_index, prediction). */
export async function writePredictions(
  session: Session,
  table: string,
  batches: AsyncIterable<Float32Array>,
): Promise<number> {
  await session.run(`CREATE OR REPLACE TEMP TABLE ${quoteName(table)} (${rowIndex} INTEGER, prediction FLOAT)`);
  const appender = await session.connection.createAppender(table);
  let written = 0;
  for await (const batch of batches) {
    const chunk = DuckDBDataChunk.create([INTEGER, FLOAT], batch.length);
    chunk.setColumnValues(
      0,
      Array.from(batch, (_, at) => written + at),
    );
    chunk.setColumnValues(1, Array.from(batch));
    appender.appendDataChunk(chunk);
    written += batch.length;
  }
  appender.closeSync();
  return written;
}
