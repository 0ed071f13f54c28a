import { destroyPrepared, type Lent } from './connections.js';
import { duckdbError } from './failure.js';
import { holdHandle, holdResult, library, pointerAt, type Pointer } from './library.js';
import type { ReadPlan } from './plan.js';

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

/** The plan's statement on a connection that was lent for it; throws what DuckDB says. */
export function prepared(lent: Lent, { setup, sql }: Pick<ReadPlan, 'setup' | 'sql'>, lakeRoot: string): Pointer {
  if (lent.prepared !== 0) return lent.prepared;
  const duckdb = library();
  if (!lent.isSetUp) runAll(lent.connection, setup, lakeRoot);
  const handle = holdHandle();
  if (duckdb.prepare(lent.connection, sql, handle.address) === 0) return pointerAt(handle);
  const error = duckdbError(duckdb.prepareError(pointerAt(handle)) ?? 'no reason', 0, lakeRoot);
  duckdb.destroyPrepare(handle.address);
  throw error;
}

/** What was prepared is freed when the use of it fails. */
export function orDestroyed<Answer>(statement: Pointer, use: () => Answer): Answer {
  try {
    return use();
  } catch (error) {
    destroyPrepared(statement);
    throw error;
  }
}
