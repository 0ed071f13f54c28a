import { DomainError } from '../domain/errors.js';
import type { LiveCompaction, WindowFiles } from '../domain/decide/compaction.js';
import type { Lane, StagedFile } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import type { Principal } from '../domain/principal.js';
import type { CompactionRun } from '../domain/snapshots.js';
import type { TableColumn } from '../domain/tables.js';
import { only, recordAudit, type Database, type Queries } from './db.js';
import { tableId, type TableRef, tableValues, tableWhere } from './snapshots.js';

/** The newest snapshot of a table as compaction sees it: its windows in order, and what stands for some of them already. */
export async function compactionState(
  db: Queries,
  table: TableRef,
): Promise<{ windows: WindowFiles[]; compactions: LiveCompaction[] }> {
  const [windows, compactions] = await Promise.all([
    db.query<WindowFiles>(
      `SELECT window_start AS start, count(*) AS files, sum(rows) AS rows, sum(bytes) AS bytes, bool_or(lane = 'pushes') AS pushed FROM files
       WHERE ${tableWhere} AND end_snapshot IS NULL GROUP BY window_start ORDER BY window_start`,
      tableValues(table),
    ),
    db.query<LiveCompaction>(
      `SELECT first_start AS first, last_start AS last FROM compactions
       WHERE ${tableWhere} AND end_snapshot IS NULL AND removed_at IS NULL ORDER BY first_start, last_start DESC`,
      tableValues(table),
    ),
  ]);
  return { windows, compactions };
}

export interface Member {
  readonly key: string;
  readonly rows: number;
  readonly sha256: string;
}

/**
 * The files of the windows in their order, and the columns that all of them have. Throws `generation_moved` when pushed rows
 * came to one of the windows after it was planned: joins tell them from the sources' rows by their file.
 */
export async function membersOf(
  db: Queries,
  table: TableRef,
  { first, last }: Pick<CompactionRun, 'first' | 'last'>,
): Promise<{ members: Member[]; columns: TableColumn[] }> {
  const members = await db.query<Member & { lane: Lane }>(
    `SELECT key, rows, sha256, lane FROM files WHERE ${tableWhere} AND end_snapshot IS NULL AND window_start BETWEEN $5 AND $6
     ORDER BY window_start, lane DESC, key`,
    [...tableValues(table), first, last],
  );
  if (members.some(({ lane }) => lane === 'pushes')) throw moved(table, { first, last });
  const { columns } = only(
    await db.query<{ columns: TableColumn[] }>(
      `SELECT columns FROM lake_tables WHERE ${tableWhere}`,
      tableValues(table),
    ),
  );
  return { members, columns };
}

const moved = (table: TableRef, { first, last }: Pick<CompactionRun, 'first' | 'last'>): DomainError =>
  new DomainError('generation_moved', `A window of ${tableId(table)} from ${first} to ${last} was committed.`, {
    ...{ first, last },
  });

export interface NewCompaction {
  readonly table: TableRef;
  readonly first: Instant;
  readonly last: Instant;
  /** Keys, in order, of the files that the new one was written from. */
  readonly members: readonly string[];
  readonly file: StagedFile & { readonly rowHash: string };
  readonly workflowId: string;
  readonly principal: Principal;
}

/**
 * From here on readers of the newest snapshot, and of earlier ones with the same windows, read the one file. Throws
 * `generation_moved` when one of the windows was committed meanwhile. Recorded once: of a repeat the file is abandoned.
 */
export async function recordCompaction(db: Database, made: NewCompaction): Promise<{ repeated: boolean }> {
  const { table, first, last, members, file, workflowId, principal } = made;
  return db.transaction(async (tx) => {
    // Commits of the table wait meanwhile, so that none of them misses the file whose range it ends.
    await tx.query(`SELECT 1 FROM lake_tables WHERE ${tableWhere} FOR NO KEY UPDATE`, tableValues(table));
    const now = await membersOf(tx, table, { first, last });
    if (now.members.map(({ key }) => key).join('\n') !== members.join('\n')) throw moved(table, { first, last });
    const range = [...tableValues(table), first, last];
    const [there] = await tx.query(
      `SELECT 1 FROM compactions WHERE ${tableWhere} AND first_start = $5 AND last_start = $6 AND end_snapshot IS NULL AND removed_at IS NULL`,
      range,
    );
    if (there) return { repeated: true };
    await tx.query(
      `INSERT INTO compactions (key, project, schema, name, revision, first_start, last_start, members, rows, bytes, sha256, row_hash, begin_snapshot, workflow_id)
       SELECT $7, $1, $2, $3, $4, $5, $6, $8, $9, $10, $11, $12, max(snapshot), $13 FROM commits WHERE ${tableWhere} AND window_start BETWEEN $5 AND $6`,
      [...range, file.key, members.length, file.rows, file.bytes, file.sha256, file.rowHash, workflowId],
    );
    await recordAudit(tx, table.project, principal, 'compacted windows', `${tableId(table)}/${first}`, {
      ...{ last, files: members.length, rows: file.rows },
    });
    return { repeated: false };
  });
}
