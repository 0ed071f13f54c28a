import { duckdbError } from './failure.js';
import { holdHandle, holdResult, library, pointerAt, type Pointer } from './library.js';

/** Statements without an answer, in order; throws what DuckDB says. */
export function runAll(connection: Pointer, statements: readonly string[], lakeRoot: string): void {
  const duckdb = library();
  for (const sql of statements) {
    const result = holdResult();
    const failed = duckdb.query(connection, sql, result.address) !== 0;
    const message = failed ? (duckdb.resultError(result.address) ?? 'no reason') : '';
    const type = failed ? duckdb.resultErrorType(result.address) : 0;
    duckdb.destroyResult(result.address);
    if (failed) throw duckdbError(message, type, lakeRoot);
  }
}

/** Prepares one statement for as long as it is used. */
export function prepare<Answer>(
  connection: Pointer,
  sql: string,
  lakeRoot: string,
  use: (prepared: Pointer) => Answer,
): Answer {
  const duckdb = library();
  const prepared = holdHandle();
  try {
    if (duckdb.prepare(connection, sql, prepared.address) !== 0)
      throw duckdbError(duckdb.prepareError(pointerAt(prepared)) ?? 'no reason', 0, lakeRoot);
    return use(pointerAt(prepared));
  } finally {
    duckdb.destroyPrepare(prepared.address);
  }
}
