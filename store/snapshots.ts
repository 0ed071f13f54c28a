import type { Column, Lane, LedgerRow, StagedWindow, Window } from '../domain/features.js';
import { DomainError } from '../domain/errors.js';
import { failpoint } from '../domain/failpoints.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { digestOf } from '../domain/json.js';
import type { TableSchema } from '../domain/tables.js';
import type { Principal } from '../domain/principal.js';
import { only, recordAudit, recordLineage, type Database, type Edge, type Queries } from './db.js';
import { requireNoNewer } from './tombstones.js';

/** One revision of one table of the lake: a feature view, a dataset or an endpoint's batch predictions. */
export interface TableRef {
  readonly project: ProjectName;
  readonly schema: TableSchema;
  readonly name: string;
  readonly revision: number;
}

export interface WindowHead extends Window {
  /** Of the table. */
  readonly revision: number;
  readonly commit: number;
  readonly sourceFingerprint: string;
  readonly sourceVersion: string;
  readonly snapshot: number;
  readonly rows: number;
  readonly rowHash: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** Object keys of the window's files. */
  readonly files: readonly string[];
}

export interface WindowCommit {
  readonly table: TableRef;
  /** Default: `sources`. */
  readonly lane?: Lane;
  readonly columns: readonly Column[];
  readonly window: StagedWindow;
  /** The head that the work was planned on; null for a window without one. */
  readonly predecessor: number | null;
  readonly sourceVersion: string;
  readonly workflowId: string;
  readonly principal: Principal;
  readonly details?: object;
  readonly lineage?: readonly Edge[];
  /** The newest tombstone that the rows were computed without the keys of; absent: they hold no entity's key. */
  readonly tombstones?: number;
  /** What must be true together with the commit. Not called when the commit is already recorded. */
  readonly also?: (tx: Queries, at: { commit: number; snapshot: number }) => Promise<void>;
}

export interface Committed {
  readonly commit: number;
  readonly snapshot: number;
  /** True when an earlier attempt had committed the same: this attempt's files are abandoned. */
  readonly repeated: boolean;
}

/** The rows of a table, where $1 to $4 are its values. */
export const tableWhere = 'project = $1 AND schema = $2 AND name = $3 AND revision = $4';
export const tableValues = ({ project, schema, name, revision }: TableRef) => [project, schema, name, revision];
export const tableId = ({ schema, name, revision }: TableRef): string => `${schema}/${name}@r${revision}`;

/**
 * The heads of the windows that the range touches, in window order: of one revision of the table, or without one of all, by
 * the newest commit of each window.
 */
export async function windowHeads(
  db: Queries,
  { project, schema, name, revision }: Omit<TableRef, 'revision'> & { readonly revision?: number },
  range: Window,
  lane: Lane = 'sources',
): Promise<WindowHead[]> {
  return db.query<WindowHead>(
    `SELECT DISTINCT ON (h.window_start) h.revision, h.window_start AS start, h.window_end AS "end", h.commit_id AS commit, c.source_fingerprint AS "sourceFingerprint", h.source_version AS "sourceVersion",
       c.snapshot, c.rows, c.row_hash AS "rowHash", c.details, ARRAY(SELECT key FROM files f WHERE f.commit_id = c.id ORDER BY key) AS files
     FROM window_heads h JOIN commits c ON c.id = h.commit_id
     WHERE h.project = $1 AND h.schema = $2 AND h.name = $3 AND ($4::int IS NULL OR h.revision = $4) AND h.window_end > $5 AND h.window_start < $6 AND h.lane = $7
     ORDER BY h.window_start, h.commit_id DESC`,
    [project, schema, name, revision ?? null, range.start, range.end, lane],
  );
}

/** Notes that these commits were looked at and are current for this state of the sources; one that is no head any more is left. */
export async function touchHeads(
  db: Queries,
  table: TableRef,
  commits: readonly number[],
  sourceVersion: string,
): Promise<void> {
  await db.query(
    `UPDATE window_heads SET source_version = $5 WHERE ${tableWhere} AND lane = 'sources' AND commit_id = ANY($6::bigint[])`,
    [...tableValues(table), sourceVersion, commits],
  );
}

/** `commitWindowIn` in a transaction of its own. */
export const commitWindow = (db: Database, commit: WindowCommit): Promise<Committed> =>
  db.transaction((tx) => commitWindowIn(tx, commit));

/**
 * Moves the window's head by compare-and-set and inserts files, ledger, lineage and audit, in the caller's transaction. The
 * loser of a race gets what the winner recorded when both did the same work, `generation_moved` otherwise.
 */
export async function commitWindowIn(tx: Queries, commit: WindowCommit): Promise<Committed> {
  const { table, window, predecessor, lane = 'sources' } = commit;
  if (commit.tombstones !== undefined) await requireNoNewer(tx, table.project, commit.tombstones);
  const snapshot = await nextSnapshot(tx, table, commit.columns);
  const [head] = await tx.query<{
    commit: number;
    snapshot: number;
    predecessor: number | null;
    fingerprint: string;
  }>(
    `SELECT c.id AS commit, c.snapshot, c.predecessor, c.source_fingerprint AS fingerprint FROM window_heads h JOIN commits c ON c.id = h.commit_id
     WHERE h.project = $1 AND h.schema = $2 AND h.name = $3 AND h.revision = $4 AND h.window_start = $5 AND h.lane = $6`,
    [...tableValues(table), window.start, lane],
  );
  if ((head?.commit ?? null) !== predecessor) {
    if (head && head.predecessor === predecessor && head.fingerprint === window.sourceFingerprint) {
      await tx.query(`UPDATE lake_tables SET snapshot = snapshot - 1 WHERE ${tableWhere}`, tableValues(table));
      return { commit: head.commit, snapshot: head.snapshot, repeated: true };
    }
    throw new DomainError(
      'generation_moved',
      `The window ${window.start} of ${tableId(table)} was committed by somebody else.`,
      { window: window.start },
    );
  }
  const id = await insertCommit(tx, commit, snapshot);
  await moveHead(tx, commit, id, snapshot);
  await recordLineage(tx, table.project, [
    ...(commit.lineage ?? []),
    { from: ['commit', String(id)], to: ['table', tableId(table)] },
  ]);
  await commit.also?.(tx, { commit: id, snapshot });
  await failpoint('commit.inside');
  return { commit: id, snapshot, repeated: false };
}

/** Locks the table's row until the end of the transaction: commits of one table happen one after the other. */
async function nextSnapshot(tx: Queries, table: TableRef, columns: readonly Column[]): Promise<number> {
  const rows = await tx.query<{ snapshot: number; columns: Column[] }>(
    `INSERT INTO lake_tables (project, schema, name, revision, columns, snapshot) VALUES ($1,$2,$3,$4,$5,1)
     ON CONFLICT (project, schema, name, revision) DO UPDATE SET snapshot = lake_tables.snapshot + 1 RETURNING snapshot, columns`,
    [...tableValues(table), JSON.stringify(columns)],
  );
  const { snapshot, columns: recorded } = only(rows);
  if (digestOf(recorded) === digestOf(columns)) return snapshot;
  const listed = (all: readonly Column[]) => all.map(({ name, type }) => `${name} ${type}`).join(', ');
  throw new DomainError(
    'table_columns_changed',
    `${tableId(table)} has the columns ${listed(recorded)}; this commit has ${listed(columns)}.`,
    { table: tableId(table) },
  );
}

/** The time is that of the row in its table's order, not of the transaction's start: later snapshots are never of earlier times. */
async function insertCommit(tx: Queries, commit: WindowCommit, snapshot: number): Promise<number> {
  const { table, window, predecessor, workflowId, principal, details = {}, lane = 'sources' } = commit;
  const rows = await tx.query<{ id: number }>(
    `INSERT INTO commits (project, schema, name, revision, window_start, window_end, predecessor, snapshot, rows, bytes, row_hash, source_fingerprint, duration_ms, workflow_id, details, principal, lane, committed_at)
     VALUES ($1,$2,$3,$4,$5,$6,$7,$8::bigint,$9,$10,$11,$12,$13,$14,$15,$16,$17,
       greatest(clock_timestamp(), (SELECT committed_at FROM commits WHERE (project, schema, name, revision, snapshot) = ($1,$2,$3,$4,$8::bigint - 1)))) RETURNING id`,
    [
      ...tableValues(table),
      window.start,
      window.end,
      predecessor,
      snapshot,
      window.rows,
      window.bytes,
      window.rowHash,
      window.sourceFingerprint,
      window.durationMs,
      workflowId,
      JSON.stringify(details),
      principal.name,
      lane,
    ],
  );
  await recordAudit(tx, table.project, principal, 'committed window', `${tableId(table)}/${window.start}`, {
    commit: only(rows).id,
    rows: window.rows,
  });
  return only(rows).id;
}

async function moveHead(
  tx: Queries,
  { table, window, sourceVersion, lane = 'sources' }: WindowCommit,
  commit: number,
  snapshot: number,
): Promise<void> {
  await tx.query(
    `UPDATE files SET end_snapshot = $5 WHERE ${tableWhere} AND window_start = $6 AND lane = $7 AND end_snapshot IS NULL`,
    [...tableValues(table), snapshot, window.start, lane],
  );
  // A file that stands for this window, among others, stands for it up to here.
  await tx.query(
    `UPDATE compactions SET end_snapshot = $5 WHERE ${tableWhere} AND first_start <= $6 AND last_start >= $6 AND end_snapshot IS NULL`,
    [...tableValues(table), snapshot, window.start],
  );
  await tx.query(
    `INSERT INTO files (key, commit_id, project, schema, name, revision, window_start, rows, bytes, sha256, begin_snapshot, lane)
     SELECT key, $5, $1, $2, $3, $4, $6, rows, bytes, sha256, $7, $9 FROM jsonb_to_recordset($8) AS f(key text, rows bigint, bytes bigint, sha256 text)`,
    [...tableValues(table), commit, window.start, snapshot, JSON.stringify(window.files), lane],
  );
  await tx.query(
    `INSERT INTO window_heads (project, schema, name, revision, window_start, window_end, commit_id, source_version, lane) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)
     ON CONFLICT (project, schema, name, revision, lane, window_start) DO UPDATE SET commit_id = $7, source_version = $8, window_end = $6`,
    [...tableValues(table), window.start, window.end, commit, sourceVersion, lane],
  );
}

export interface TableSummary {
  readonly snapshot: number;
  readonly windows: number;
  readonly rows: number;
  readonly bytes: number;
  /** From the first window's start to the last one's end; null without windows. */
  readonly start: Instant | null;
  readonly end: Instant | null;
}

/** How much the newest snapshot of a table holds, in one lane or in both; all zero for a table without a commit. */
export async function tableSummary(db: Queries, table: TableRef, lane?: Lane): Promise<TableSummary> {
  const rows = await db.query<TableSummary>(
    `SELECT coalesce(max(c.snapshot), 0)::bigint AS snapshot, count(DISTINCT h.window_start) AS windows, coalesce(sum(c.rows), 0) AS rows, coalesce(sum(c.bytes), 0) AS bytes,
            min(h.window_start) AS start, max(h.window_end) AS "end"
     FROM window_heads h JOIN commits c ON c.id = h.commit_id
     WHERE h.project = $1 AND h.schema = $2 AND h.name = $3 AND h.revision = $4 AND ($5::text IS NULL OR h.lane = $5)`,
    [...tableValues(table), lane ?? null],
  );
  return only(rows);
}

/** The ledger of a table in window order, newest state of each; `all` lists replaced commits too, in commit order. `after` is a commit. */
export async function ledger(
  db: Queries,
  table: TableRef,
  { all = false, limit = 1000, after }: { all?: boolean; limit?: number; after?: number } = {},
): Promise<LedgerRow[]> {
  return db.query<LedgerRow>(
    `SELECT c.id AS commit, c.window_start AS start, c.window_end AS "end", c.snapshot, c.rows, c.bytes, c.row_hash AS "rowHash", c.source_fingerprint AS "sourceFingerprint",
            c.duration_ms AS "durationMs", c.committed_at AS "committedAt", c.workflow_id AS "workflowId", c.lane
     FROM commits c LEFT JOIN window_heads h ON h.commit_id = c.id
     WHERE c.project = $1 AND c.schema = $2 AND c.name = $3 AND c.revision = $4 AND ($5 OR h.commit_id IS NOT NULL)
       AND CASE WHEN $5 THEN c.id > $6 ELSE $6 = 0 OR c.window_start > (SELECT window_start FROM commits WHERE id = $6) END
     ORDER BY ${all ? 'c.id' : 'c.window_start'} LIMIT $7`,
    [...tableValues(table), all, after ?? 0, limit],
  );
}

/** The table's newest snapshot, 0 before the first commit, and how many windows it has. */
export async function tableState(db: Queries, table: TableRef): Promise<{ snapshot: number; windows: number }> {
  const [row] = await db.query<{ snapshot: number; windows: number }>(
    `SELECT t.snapshot, (SELECT count(DISTINCT h.window_start) FROM window_heads h WHERE (h.project, h.schema, h.name, h.revision) = (t.project, t.schema, t.name, t.revision)) AS windows
     FROM lake_tables t WHERE ${tableWhere}`,
    tableValues(table),
  );
  return row ?? { snapshot: 0, windows: 0 };
}

/** Whether every window of the snapshot was found to have no two rows with the same keys and event time. */
export async function isDistinct(db: Queries, table: TableRef, snapshot: number): Promise<boolean> {
  const [row] = await db.query<{ all: boolean | null }>(
    `SELECT bool_and(c.lane = 'sources' AND coalesce((c.details ->> 'distinct')::boolean, false)) AS all FROM files f JOIN commits c ON c.id = f.commit_id
     WHERE f.project = $1 AND f.schema = $2 AND f.name = $3 AND f.revision = $4 AND f.begin_snapshot <= $5 AND (f.end_snapshot IS NULL OR f.end_snapshot > $5)`,
    [...tableValues(table), snapshot],
  );
  return row?.all ?? true;
}
