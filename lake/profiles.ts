import type { ColumnProfile } from '../domain/monitoring.js';
import { quoteName, quoteText, type Session } from './duckdb.js';

/** Columns of one statement: each costs an aggregate a bin. */
const columnsMax = 32;
const float32Max = 3.4028234663852886e38;

/**
 * Profiles of the reference, whose edges the windows are counted by. A column with few distinct values (at most twice the
 * bins) gets an edge at each of them, so that each has a bin of its own and what lies above them all has one too; any other
 * gets its quantiles, so that the bins are about equally full. Columns must be numbers or BOOLEAN. `query_failed` otherwise.
 */
export async function referenceProfiles(
  session: Session,
  relation: string,
  columns: readonly string[],
  bins = 10,
): Promise<ColumnProfile[]> {
  const quantiles = Array.from({ length: bins - 1 }, (_, index) => (index + 1) / bins);
  const edges: (readonly number[])[] = [];
  for (const batch of batches(columns)) {
    const [found] = await session.rows<Record<string, string | number[] | null>>(
      select(relation, batch, (value, index) => [
        `count(DISTINCT ${value}) AS d${index}`,
        `quantile_disc(${value}, [${quantiles.join(', ')}]) AS q${index}`,
      ]),
    );
    const few = batch.map((_, index) => Number(found?.[`d${index}`] ?? 0) <= 2 * bins);
    const [all] = await session.rows<Record<string, number[] | null>>(
      select(relation, batch, (value, index) => [
        few[index]
          ? `list_sort(list(DISTINCT ${value}) FILTER (${value} IS NOT NULL)) AS l${index}`
          : `NULL AS l${index}`,
      ]),
    );
    batch.forEach((_, index) => edges.push(distinct((all?.[`l${index}`] ?? found?.[`q${index}`] ?? []) as number[])));
  }
  return profiles(
    session,
    relation,
    columns.map((column, index) => ({ column, edges: edges[index] ?? [] })),
  );
}

/** Counts the relation's columns by the edges of other profiles, in one scan for every 32 columns. Whole numbers, whatever the order of rows. */
export async function profiles(
  session: Session,
  relation: string,
  like: readonly Pick<ColumnProfile, 'column' | 'edges'>[],
): Promise<ColumnProfile[]> {
  const counted: ColumnProfile[] = [];
  for (const batch of batches(like)) {
    const columns = batch.map(({ column }) => column);
    const [row] = await session.rows<Record<string, string>>(
      select(relation, columns, (value, index) => [
        `count(${value}) AS n${index}`,
        ...(batch[index]?.edges ?? []).map(
          (edge, bin) => `count_if(${value} <= ${quoteText(String(edge))}::DOUBLE) AS c${index}_${bin}`,
        ),
      ]),
    );
    const rows = Number(row?.['rows'] ?? 0);
    for (const [index, { column, edges }] of batch.entries()) {
      const values = Number(row?.[`n${index}`] ?? 0);
      const upTo = [...edges.map((_, bin) => Number(row?.[`c${index}_${bin}`] ?? 0)), values];
      const counts = upTo.map((count, bin) => count - (upTo[bin - 1] ?? 0));
      counted.push({ column, edges: [...edges], counts, nulls: rows - values, rows });
    }
  }
  return counted;
}

/** One SELECT with aggregates of every column; `v0`, `v1` … are the columns' values. */
function select(
  relation: string,
  columns: readonly string[],
  aggregates: (value: string, index: number) => string[],
): string {
  const values = columns.map((column, index) => `${valueSql(column)} AS v${index}`);
  const selected = ['count(*) AS rows', ...columns.flatMap((_, index) => aggregates(`v${index}`, index))];
  return `SELECT ${selected.join(', ')} FROM (SELECT ${values.join(', ')} FROM ${relation})`;
}

/**
 * The value as float32, for that is what a model gets: the reference holds doubles and the inference log what was rounded, and
 * a value must not change its bin by that. NaN becomes NULL; what lies beyond float32, infinities too, becomes its greatest or least
 * value (`least` and `greatest` skip a NULL, so it is asked for first).
 */
function valueSql(column: string): string {
  const value = `CAST(${quoteName(column)} AS DOUBLE)`;
  return `CASE WHEN ${value} IS NULL OR isnan(${value}) THEN NULL ELSE CAST(least(greatest(${value}, -${float32Max}::DOUBLE), ${float32Max}::DOUBLE) AS FLOAT) END`;
}

/** Adding 0 makes a 0 of −0, which DuckDB takes for the same. */
const distinct = (values: readonly number[]): number[] => [...new Set(values.map((value) => value + 0))];

const batches = <Item>(items: readonly Item[]): Item[][] =>
  Array.from({ length: Math.ceil(items.length / columnsMax) }, (_, batch) =>
    items.slice(batch * columnsMax, (batch + 1) * columnsMax),
  );
