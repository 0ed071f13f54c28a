import { randomUUID } from 'node:crypto';
import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import type { Lease, PinnedTable, TableSchema } from '../domain/tables.js';
import type { Database, Queries } from './db.js';

export type SnapshotRef = Pick<PinnedTable, 'project' | 'schema' | 'name' | 'revision' | 'snapshot'>;

/** Promises that these snapshots stay readable for so long; all promises of a kind are one row, and the latest counts. Throws `snapshot_collected` when one no longer is. */
export async function promiseSnapshots(
  db: Database,
  refs: readonly SnapshotRef[],
  forMs: number,
  holder: 'tickets' | 'joins' = 'tickets',
): Promise<void> {
  await insertLeases(db, refs, holder, forMs);
}

/** Holds a snapshot for as long as somebody reads it and says so; a reader that dies is forgotten after `forMs`. */
export async function leaseSnapshot(db: Database, ref: SnapshotRef, who: string, forMs: number): Promise<Lease> {
  const holder = `${who}/${randomUUID()}`;
  const hold = () => insertLeases(db, [ref], holder, forMs);
  await hold();
  return {
    renew: hold,
    async release() {
      await db.query('DELETE FROM leases WHERE holder = $1 AND project = $2', [holder, ref.project]);
    },
  };
}

/**
 * Locks the tables' rows first, so that it happens before a collection looks for leases, or after that has marked what it
 * removes; the last statement sees which. The insert alone would not: a lease that is taken again checks no foreign key.
 */
async function insertLeases(db: Database, refs: readonly SnapshotRef[], holder: string, forMs: number): Promise<void> {
  const rows = JSON.stringify(
    refs.map(({ project, schema, name, revision, snapshot }) => ({ project, schema, name, revision, snapshot })),
  );
  const record = 'r(project text, schema text, name text, revision int, snapshot bigint)';
  await db.transaction(async (tx) => {
    await tx.query(
      `SELECT 1 FROM lake_tables WHERE (project, schema, name, revision) IN (SELECT project, schema, name, revision FROM jsonb_to_recordset($1) AS ${record})
       ORDER BY project, schema, name, revision FOR KEY SHARE`,
      [rows],
    );
    await tx.query(
      `INSERT INTO leases (project, schema, name, revision, snapshot, holder, expires_at)
       SELECT DISTINCT r.*, $2, now.at + $3::double precision * interval '1 millisecond' FROM jsonb_to_recordset($1) AS ${record}, (SELECT clock_timestamp()) AS now(at)
       ON CONFLICT (project, schema, name, revision, snapshot, holder) DO UPDATE SET expires_at = greatest(leases.expires_at, excluded.expires_at)`,
      [rows, holder, forMs],
    );
    const [gone] = await tx.query<SnapshotRef>(
      `SELECT r.* FROM jsonb_to_recordset($1) AS ${record} WHERE EXISTS (
         SELECT FROM files f WHERE (f.project, f.schema, f.name, f.revision) = (r.project, r.schema, r.name, r.revision)
           AND f.begin_snapshot <= r.snapshot AND f.end_snapshot > r.snapshot AND f.removed_at IS NOT NULL) LIMIT 1`,
      [rows],
    );
    if (!gone) return;
    const { name, snapshot } = gone;
    throw new DomainError('snapshot_collected', `Garbage collection removed snapshot ${snapshot} of "${name}".`, {
      ...{ name, snapshot },
    });
  });
}

/** Leases that nobody renewed. */
export async function dropExpiredLeases(db: Queries, project: ProjectName): Promise<void> {
  await db.query('DELETE FROM leases WHERE project = $1 AND expires_at <= clock_timestamp()', [project]);
}

export interface LeaseRow {
  readonly schema: TableSchema;
  readonly name: string;
  readonly revision: number;
  readonly snapshot: number;
  readonly holder: string;
}

export async function liveLeases(db: Queries, project: ProjectName): Promise<LeaseRow[]> {
  return db.query<LeaseRow>(
    'SELECT schema, name, revision, snapshot, holder FROM leases WHERE project = $1 AND expires_at > clock_timestamp() ORDER BY schema, name, revision, snapshot, holder',
    [project],
  );
}
