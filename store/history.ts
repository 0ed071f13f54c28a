import type { SnapshotRow } from '../domain/snapshots.js';
import type { Queries } from './db.js';
import type { TableRef } from './snapshots.js';
import { snapshotHash } from './tables.js';

/** Snapshots of a table, newest first, from the one before `before` on. */
export async function listSnapshots(
  db: Queries,
  table: TableRef,
  { limit, before }: { limit: number; before?: number },
): Promise<SnapshotRow[]> {
  const rows = await db.query<Omit<SnapshotRow, 'changed' | 'rowHash'> & SnapshotRow['changed'] & { hashes: string[] }>(
    `SELECT c.snapshot, c.committed_at AS "committedAt", c.window_start AS start, c.window_end AS "end", c.lane, c.id AS commit, s.*
     FROM commits c CROSS JOIN LATERAL (
       SELECT count(DISTINCT f.window_start) AS windows, coalesce(sum(f.rows), 0) AS rows, coalesce(bool_and(f.removed_at IS NULL), true) AS readable,
         coalesce(array_agg(m.row_hash ORDER BY f.window_start, f.lane DESC, f.key), '{}') AS hashes
       FROM files f JOIN commits m ON m.id = f.commit_id
       WHERE (f.project, f.schema, f.name, f.revision) = ($1, $2, $3, $4) AND f.begin_snapshot <= c.snapshot AND (f.end_snapshot IS NULL OR f.end_snapshot > c.snapshot)
     ) s
     WHERE (c.project, c.schema, c.name, c.revision) = ($1, $2, $3, $4) AND ($5::bigint IS NULL OR c.snapshot < $5)
     ORDER BY c.snapshot DESC LIMIT $6`,
    [table.project, table.schema, table.name, table.revision, before ?? null, limit],
  );
  return rows.map(({ snapshot, committedAt, start, end, lane, commit, windows, rows: count, readable, hashes }) => ({
    ...{ snapshot, committedAt, changed: { start, end, lane, commit }, windows, rows: count, readable },
    rowHash: snapshotHash(hashes),
  }));
}
