import type { Instant, ProjectName } from '../domain/ids.js';
import type { Amount, Kept } from '../domain/snapshots.js';
import { liftTimeout, only, type Database, type Queries } from './db.js';
import { tableValues, tableWhere, type TableRef } from './snapshots.js';

/**
 * Everything that needs a snapshot of the table ($1 to $4) however old it is: what was made from it (training sets, and what
 * lineage and versions say), generations of the online store, and leases of those who read it now.
 */
const pins = `
  SELECT (m[1])::bigint AS snapshot, CASE e.to_kind WHEN 'training_set' THEN 'training_set' ELSE 'lineage' END AS reason, e.to_kind || '/' || e.to_id AS holder
    FROM lineage e, regexp_match(e.from_id, '@s(\\d+)$') AS m WHERE e.project = $1 AND e.from_kind = 'snapshot' AND split_part(e.from_id, '@s', 1) = $2 || '/' || $3 || '@r' || $4::int
  UNION SELECT (v ->> 'snapshot')::bigint, 'training_set', 'training_set/' || t.name
    FROM training_sets t, jsonb_array_elements(t.manifest -> 'views') AS v WHERE t.project = $1 AND $2 = 'features' AND v ->> 'view' = $3 AND (v ->> 'revision')::int = $4
  UNION SELECT (m[1])::bigint, 'lineage', 'version/' || r.model || '/' || r.version
    FROM versions r, jsonb_array_elements_text(r.lineage -> 'snapshots') AS s, regexp_match(s, '@s(\\d+)$') AS m WHERE r.project = $1 AND split_part(s, '@s', 1) = $2 || '/' || $3 || '@r' || $4::int
  UNION SELECT g.snapshot, 'lineage', 'online generation ' || g.generation
    FROM online_generations g WHERE g.project = $1 AND $2 = 'features' AND g.view = $3 AND g.revision = $4 AND g.status <> 'dropped' AND g.snapshot > 0
  UNION SELECT l.snapshot, 'lease', l.holder
    FROM leases l WHERE (l.project, l.schema, l.name, l.revision) = ($1, $2, $3, $4) AND l.expires_at > clock_timestamp()`;

/** Replaced files that nobody needs: those of no snapshot from $5 on, nor of one that is pinned. */
const garbageFiles = `${tableWhere} AND removed_at IS NULL AND end_snapshot <= $5
  AND NOT EXISTS (SELECT FROM (${pins}) p WHERE p.snapshot >= begin_snapshot AND p.snapshot < end_snapshot)`;

/** Compacted files that a commit ended, or that a longer one has stood in for since $6; only a stream may still need one. */
const garbageCompactions = `${tableWhere} AND removed_at IS NULL
  AND (end_snapshot <= $5 OR EXISTS (SELECT FROM compactions o WHERE (o.project, o.schema, o.name, o.revision) = ($1, $2, $3, $4) AND o.key <> k.key
    AND o.removed_at IS NULL AND o.end_snapshot IS NULL AND o.first_start <= k.first_start AND o.last_start >= k.last_start AND o.created_at <= $6))
  AND NOT EXISTS (SELECT FROM leases l WHERE (l.project, l.schema, l.name, l.revision) = ($1, $2, $3, $4) AND l.expires_at > clock_timestamp()
    AND l.snapshot >= k.begin_snapshot AND (k.end_snapshot IS NULL OR l.snapshot < k.end_snapshot))`;

/** What the generation before would take over of another revision if the view were rolled back to it. */
const handedBack = `SELECT FROM online_views v JOIN online_generations g ON g.id = v.previous
  LEFT JOIN pushed_revisions r ON (r.project, r.view, r.revision) = (v.project, v.view, g.revision)
  WHERE (v.project, v.view) = ($1, $3) AND g.revision <> $4 AND pushed_rows.origin IS NULL AND pushed_rows.sequence > coalesce(r.taken_over, 0)`;

/** Pushed rows that every snapshot somebody may still read holds by itself; a generation that began with a push has no snapshot. */
const garbagePushes = `project = $1 AND $2 = 'features' AND view = $3 AND revision = $4 AND target <> 'online' AND flushed_snapshot <= $5
  AND NOT EXISTS (SELECT FROM (${pins}) p WHERE p.snapshot < flushed_snapshot)
  AND NOT EXISTS (SELECT FROM online_generations g WHERE (g.project, g.view, g.revision, g.snapshot) = ($1, $3, $4, 0) AND g.status <> 'dropped')
  AND NOT EXISTS (${handedBack})`;

/** The newest commit at the instant says which snapshot is the oldest that time alone keeps; null: all are younger. */
async function oldestKept(db: Queries, table: TableRef, before: Instant): Promise<number | null> {
  const rows = await db.query<{ snapshot: number | null }>(
    `SELECT max(snapshot) AS snapshot FROM commits WHERE ${tableWhere} AND committed_at <= $5`,
    [...tableValues(table), before],
  );
  return only(rows).snapshot;
}

/** Tables of the project that hold anything but their newest snapshot. */
export async function tablesWithHistory(db: Queries, project: ProjectName): Promise<TableRef[]> {
  return db.query<TableRef>(
    `SELECT DISTINCT project, schema, name, revision FROM files WHERE project = $1 AND end_snapshot IS NOT NULL AND removed_at IS NULL
     UNION SELECT project, schema, name, revision FROM compactions WHERE project = $1 AND removed_at IS NULL
     UNION SELECT DISTINCT project, 'features', view, revision FROM pushed_rows WHERE project = $1 AND flushed_snapshot IS NOT NULL
     ORDER BY 2, 3, 4`,
    [project],
  );
}

export interface Marked {
  readonly files: Amount;
  readonly compactions: Amount;
  readonly pushedRows: number;
  readonly kept: readonly Kept[];
}

/**
 * Marks what of a table nobody needs, so that from here on nobody finds it; deleting comes afterwards. With `dryRun` it only
 * says what it would mark. The table's row is locked: whoever takes a lease did so before, and is seen, or looks after it.
 */
export async function markTable(
  db: Database,
  table: TableRef,
  { before, by, dryRun }: { before: Instant; by: string; dryRun: boolean },
): Promise<Marked> {
  return db.transaction(async (tx) => {
    await liftTimeout(tx);
    await tx.query(`SELECT 1 FROM lake_tables WHERE ${tableWhere} FOR UPDATE`, tableValues(table));
    const oldest = (await oldestKept(tx, table, before)) ?? 0;
    const values = [...tableValues(table), oldest];
    const kept = await keptOf(tx, table, oldest);
    const amount = async (sql: string, more: readonly unknown[]) =>
      only(await tx.query<Amount>(sql, [...values, ...more]));
    const sums = 'count(*) AS files, coalesce(sum(bytes), 0) AS bytes';
    if (dryRun) {
      const files = await amount(`SELECT ${sums} FROM files WHERE ${garbageFiles}`, []);
      const compactions = await amount(`SELECT ${sums} FROM compactions k WHERE ${garbageCompactions}`, [before]);
      const pushed = await amount(`SELECT count(*) AS files, 0 AS bytes FROM pushed_rows WHERE ${garbagePushes}`, []);
      return { files, compactions, pushedRows: pushed.files, kept };
    }
    const set = (at: number) => `SET removed_at = clock_timestamp(), removed_by = $${at}`;
    const marked = (table: string, at: number, where: string) =>
      `WITH marked AS (UPDATE ${table} ${set(at)} WHERE ${where} RETURNING bytes) SELECT ${sums} FROM marked`;
    const files = await amount(marked('files', 6, garbageFiles), [by]);
    const compactions = await amount(marked('compactions k', 7, garbageCompactions), [before, by]);
    const pushed = await amount(
      `WITH gone AS (DELETE FROM pushed_rows WHERE ${garbagePushes} RETURNING 1) SELECT count(*) AS files, 0 AS bytes FROM gone`,
      [],
    );
    return { files, compactions, pushedRows: pushed.files, kept };
  });
}

const keptMax = 100;

/** Replaced files that stay, with who keeps them: time for all that are young enough, else every one who needs them. */
async function keptOf(db: Queries, table: TableRef, oldest: number): Promise<Kept[]> {
  const { schema, name, revision } = table;
  const rows = await db.query<Omit<Kept, 'snapshot'> & { snapshot: number | null }>(
    `SELECT p.reason, p.holder, p.snapshot, count(*) AS files, sum(f.bytes) AS bytes FROM files f JOIN (
       SELECT NULL::bigint AS snapshot, 'retention' AS reason, 'time' AS holder UNION ALL (${pins})
     ) p ON CASE WHEN p.snapshot IS NULL THEN f.end_snapshot > $5 ELSE f.end_snapshot <= $5 AND p.snapshot >= f.begin_snapshot AND p.snapshot < f.end_snapshot END
     WHERE (f.project, f.schema, f.name, f.revision) = ($1, $2, $3, $4) AND f.removed_at IS NULL AND f.end_snapshot IS NOT NULL
     GROUP BY 1, 2, 3 ORDER BY 5 DESC, 2, 3 LIMIT ${keptMax}`,
    [...tableValues(table), oldest],
  );
  return rows.map(({ snapshot, ...row }) => ({
    ...row,
    snapshot: `${schema}/${name}@r${revision}${snapshot === null ? '' : `@s${snapshot}`}`,
  }));
}

/** Files that were marked and not deleted yet, by this collection or by one that died. */
export async function markedFiles(db: Queries, project: ProjectName, limit: number): Promise<string[]> {
  const rows = await db.query<{ key: string }>(
    `SELECT key FROM files WHERE project = $1 AND removed_at IS NOT NULL AND deleted_at IS NULL
     UNION ALL SELECT key FROM compactions WHERE project = $1 AND removed_at IS NOT NULL AND deleted_at IS NULL
     UNION ALL SELECT old_key FROM erased_files WHERE project = $1 AND deleted_at IS NULL LIMIT $2`,
    [project, limit],
  );
  return rows.map(({ key }) => key);
}

export async function noteDeleted(db: Queries, project: ProjectName, keys: readonly string[]): Promise<void> {
  for (const [table, column] of [
    ['files', 'key'],
    ['compactions', 'key'],
    ['erased_files', 'old_key'],
  ])
    // prettier-ignore
    await db.query(
      `UPDATE ${table} SET deleted_at = clock_timestamp() WHERE project = $1 AND ${column} = ANY($2) AND deleted_at IS NULL`,
      [project, keys],
    );
}

/** Of these keys those that some row names. */
export async function namedKeys(db: Queries, keys: readonly string[]): Promise<Set<string>> {
  const rows = await db.query<{ key: string }>(
    `SELECT key FROM files WHERE key = ANY($1) UNION SELECT key FROM compactions WHERE key = ANY($1)
     UNION SELECT old_key FROM erased_files WHERE old_key = ANY($1)`,
    [keys],
  );
  return new Set(rows.map(({ key }) => key));
}

/** The instant before which a snapshot must have been replaced, by the clock that stamped the commits. */
export async function instantBefore(db: Queries, micros: number): Promise<Instant> {
  const rows = await db.query<{ at: Instant }>(
    `SELECT clock_timestamp() - $1::double precision * interval '1 microsecond' AS at`,
    [micros],
  );
  return only(rows).at;
}

/** Of these runs those that have ended, so that nobody works in their folders. */
export async function endedRuns(db: Queries, ids: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT id FROM runs WHERE id = ANY($1) GROUP BY id HAVING bool_and(status <> 'running')`,
    [ids],
  );
  return rows.map(({ id }) => id);
}
