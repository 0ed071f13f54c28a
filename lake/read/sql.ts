import { quoteName, quoteText } from '../duckdb.js';
import type { PlannedColumn } from './plan.js';

/** Reads exactly these files, in this order; no text of a client is in it. */
export function readSql(
  paths: readonly string[],
  columns: readonly PlannedColumn[],
  orderBy: readonly string[],
): string {
  const selected = columns.map(({ name, casts }) => {
    const value = casts.reduce((inner, type) => `CAST(${inner} AS ${type})`, quoteName(name));
    return `${value} AS ${quoteName(name)}`;
  });
  const order = orderBy.length === 0 ? '' : ` ORDER BY ${orderBy.map(quoteName).join(', ')}`;
  const files = paths.map(quoteText).join(', ');
  return `SELECT ${selected.join(', ')} FROM read_parquet([${files}], hive_partitioning = false)${order}`;
}
