import { DomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { only, type Database } from './db.js';
import { tableId, type TableRef, tableValues, tableWhere } from './snapshots.js';

/**
 * The snapshot that was the table's newest at an instant of commit time: the same number whenever it is asked. Throws
 * `snapshot_unknown` before the first commit, and for an instant that is still to come.
 */
export async function snapshotAt(db: Database, table: TableRef, at: Instant): Promise<number> {
  return db.transaction(async (tx) => {
    // Waits for a commit that has its time but is not visible yet.
    await tx.query(`SELECT 1 FROM lake_tables WHERE ${tableWhere} FOR SHARE`, tableValues(table));
    const { snapshot, first, future } = only(
      await tx.query<{ snapshot: number | null; first: Instant | null; future: boolean }>(
        `SELECT max(snapshot) FILTER (WHERE committed_at <= $5) AS snapshot, min(committed_at) AS first, $5::timestamptz > clock_timestamp() AS future
         FROM commits WHERE ${tableWhere}`,
        [...tableValues(table), at],
      ),
    );
    if (future)
      throw new DomainError('snapshot_unknown', `Nobody knows yet what ${tableId(table)} will be at ${at}.`, { at });
    if (snapshot !== null) return snapshot;
    const since = first === null ? 'It has no commit.' : `Its first commit is of ${first}.`;
    throw new DomainError('snapshot_unknown', `${tableId(table)} had no snapshot at ${at}. ${since}`, { at });
  });
}

/** The windows that the table's sources had been computed for when it had this snapshot. */
export const windowsAt = (db: Database, table: TableRef, snapshot: number): Promise<Window[]> =>
  db.query<Window & Record<string, unknown>>(
    `SELECT DISTINCT window_start AS start, window_end AS "end" FROM commits WHERE ${tableWhere} AND snapshot <= $5 AND lane = 'sources' ORDER BY 1`,
    [...tableValues(table), snapshot],
  );
