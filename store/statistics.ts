import type { Window } from '../domain/features.js';
import type { ColumnStatistics } from '../domain/statistics.js';
import { only, type Queries } from './db.js';
import type { TableRef } from './snapshots.js';

export async function recordStatistics(
  tx: Queries,
  commit: number,
  statistics: readonly ColumnStatistics[],
): Promise<void> {
  await tx.query('INSERT INTO window_statistics (commit_id, statistics) VALUES ($1, $2)', [
    commit,
    JSON.stringify(statistics),
  ]);
}

/** Of a commit whose rows an erasure has changed. */
export async function replaceStatistics(
  tx: Queries,
  commit: number,
  statistics: readonly ColumnStatistics[],
): Promise<void> {
  await tx.query('UPDATE window_statistics SET statistics = $2 WHERE commit_id = $1', [
    commit,
    JSON.stringify(statistics),
  ]);
}

const headsInRange = `FROM window_heads h JOIN commits c ON c.id = h.commit_id LEFT JOIN window_statistics s ON s.commit_id = c.id
  WHERE h.project = $1 AND h.schema = $2 AND h.name = $3 AND h.revision = $4 AND h.lane = 'sources'
    AND ($5::timestamptz IS NULL OR h.window_end > $5) AND ($6::timestamptz IS NULL OR h.window_start < $6)`;

const rangeValues = ({ project, schema, name, revision }: TableRef, { start, end }: Partial<Window>) => [
  ...[project, schema, name, revision, start ?? null, end ?? null],
];

/** How many windows of the range are committed, and how many of these have statistics. */
export async function countStatistics(
  db: Queries,
  table: TableRef,
  range: Partial<Window>,
): Promise<{ windows: number; measured: number }> {
  return only(
    await db.query<{ windows: number; measured: number }>(
      `SELECT count(*) AS windows, count(s.commit_id) AS measured ${headsInRange}`,
      rangeValues(table, range),
    ),
  );
}

const pageSize = 64;

/** The statistics of the range's newest commits in window order, a page at a time: they are read to be added up. */
export async function* statisticsPages(
  db: Queries,
  table: TableRef,
  range: Partial<Window>,
): AsyncGenerator<(readonly ColumnStatistics[])[]> {
  for (let offset = 0; ; offset += pageSize) {
    const rows = await db.query<{ statistics: ColumnStatistics[] }>(
      `SELECT s.statistics ${headsInRange} AND s.commit_id IS NOT NULL ORDER BY h.window_start LIMIT ${pageSize} OFFSET $7`,
      [...rangeValues(table, range), offset],
    );
    if (rows.length > 0) yield rows.map(({ statistics }) => statistics);
    if (rows.length < pageSize) return;
  }
}
