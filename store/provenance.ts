import type { CommitOrigin, PushOrigin } from '../domain/explanation.js';
import type { Lane, Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import type { Queries } from './db.js';
import type { TableRef } from './snapshots.js';

/** A file that a snapshot shows. */
export interface ShownFile {
  readonly key: string;
  readonly sha256: string;
  readonly rows: number;
  readonly lane: Lane;
}

/** A commit with what tells whether its sources are still as they were. */
export interface FingerprintedCommit extends CommitOrigin {
  readonly sourceFingerprint: string;
}

export async function shownFiles(db: Queries, table: TableRef, snapshot: number): Promise<ShownFile[]> {
  return db.query<ShownFile>(
    `SELECT key, sha256, rows, lane FROM files
     WHERE project = $1 AND schema = $2 AND name = $3 AND revision = $4 AND begin_snapshot <= $5 AND (end_snapshot IS NULL OR end_snapshot > $5)
     ORDER BY window_start, lane DESC, key`,
    [table.project, table.schema, table.name, table.revision, snapshot],
  );
}

/** The commit that a snapshot shows of the window and lane that an instant lies in. */
export async function commitAt(
  db: Queries,
  table: TableRef,
  { snapshot, lane, at }: { snapshot: number; lane: Lane; at: Instant },
): Promise<FingerprintedCommit | null> {
  const [row] = await db.query<FingerprintedCommit & Window>(
    `SELECT window_start AS start, window_end AS "end", id AS commit, snapshot, committed_at AS "committedAt", workflow_id AS "workflowId", principal, source_fingerprint AS "sourceFingerprint"
     FROM commits WHERE project = $1 AND schema = $2 AND name = $3 AND revision = $4 AND snapshot <= $5 AND lane = $6 AND window_start <= $7 AND window_end > $7
     ORDER BY id DESC LIMIT 1`,
    [table.project, table.schema, table.name, table.revision, snapshot, lane, at],
  );
  if (!row) return null;
  const { start, end, ...rest } = row;
  return { ...rest, window: { start, end } };
}

/** The last push of a row with this key and these instants; to another revision when this one took the row over from there. */
export async function pushOf(
  db: Queries,
  { project, name, revision }: TableRef,
  { key, eventTime, knownAt }: { key: string; eventTime: Instant; knownAt: Instant },
): Promise<PushOrigin | null> {
  const [row] = await db.query<PushOrigin>(
    `SELECT p.id, p.principal, p.pushed_at AS "pushedAt", r.sequence
     FROM pushed_rows r JOIN pushes p ON (p.project, p.view, p.id) = (r.project, r.view, r.push_id)
     WHERE r.project = $1 AND r.view = $2 AND r.key = $4 AND r.event_time = $5 AND coalesce(r.known_at, r.event_time) = $6
     ORDER BY r.revision = $3 DESC, r.sequence DESC LIMIT 1`,
    [project, name, revision, key, eventTime, knownAt],
  );
  return row ?? null;
}
