import { planRuns } from '../domain/decide/compaction.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { failpoint } from '../domain/failpoints.js';
import type { CompactionRun, CompactTable } from '../domain/snapshots.js';
import { quoteText } from '../lake/duckdb.js';
import { fileSha256 } from '../lake/objects.js';
import { hashRows } from '../lake/rows.js';
import { writeFile } from '../lake/snapshots.js';
import { compactionState, membersOf, recordCompaction, type Member } from '../store/compaction.js';
import { tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';

export type CompactionDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake'>;

export interface CompactionPlan {
  readonly runs: CompactionRun[];
  /** That a reader of the newest snapshot opens. */
  readonly files: number;
  /** Runs that are left for the next time. */
  readonly more: number;
}

/** DuckDB reads a file of this size with all its threads; rewriting it takes about a second. */
const limits = { bytesMax: 64 * 2 ** 20, filesMax: 1_000, piecesMin: 4 };
const runsMax = 500;

export const compactionActivities = (dependencies: CompactionDependencies) => ({
  /** Reads only. */
  async planCompaction({ project, schema, name, revision }: CompactTable): Promise<CompactionPlan> {
    const { db } = dependencies;
    const table = { project, schema, name, revision };
    const { windows, compactions } = await compactionState(db, table);
    const { files } = await tables(db).resolve(project, schema, `${name}@r${revision}`);
    const runs = planRuns(windows, compactions, limits);
    return { runs: runs.slice(0, runsMax), files: files.length, more: Math.max(0, runs.length - runsMax) };
  },

  /** The windows' files become one, recorded once: what an attempt staged and did not record it removes, or garbage collection. */
  compactWindows: (input: CompactTable & { readonly run: CompactionRun }): Promise<{ bytes: number; rows: number }> =>
    beating((signal) => compact(dependencies, input, signal)),
});

async function compact(
  { db, engine, lake }: CompactionDependencies,
  { project, schema, name, revision, principal, run }: CompactTable & { readonly run: CompactionRun },
  signal: AbortSignal,
): Promise<{ bytes: number; rows: number }> {
  const table = { project, schema, name, revision };
  const { first, last } = run;
  const { members, columns } = await membersOf(db, table, run);
  if (members.length < 2) return { bytes: 0, rows: 0 };
  // A damaged file must not be copied into a sound one.
  for (const member of members) await requireWhole(lake.path(member.key), member);
  return engine.session(async (session) => {
    const relation = `read_parquet([${members.map(({ key }) => quoteText(lake.path(key))).join(', ')}])`;
    const folder = `${project}/${schema}/${name}@r${revision}`;
    const label = `${first.slice(0, 19).replaceAll(':', '')}-${members.length}`;
    // Without an order of its own DuckDB writes rows in the order of files and of rows in them.
    const file = await writeFile({ session, objects: lake, relation, columns, orderBy: [], folder }, '', label);
    try {
      const { rowHash } = await hashRows(session, relation, columns);
      if (rowHash !== file.rowHash)
        throw new DomainError(
          'object_corrupt',
          `The compacted file has other rows than its ${members.length} members.`,
        );
      await failpoint('compact.staged');
      const made = { table, first, last, members: members.map(({ key }) => key), file };
      const recorded = await recordCompaction(db, {
        ...{ ...made, workflowId: currentWorkflowId(), principal: { name: principal } },
      });
      if (recorded.repeated) await lake.remove(file.key);
    } catch (error) {
      // After a lost connection nobody knows whether it was recorded, and the file must stay.
      if (isDomainError(error) && error.code !== 'database_unreachable') await lake.remove(file.key);
      throw error;
    }
    return { bytes: file.bytes, rows: file.rows };
  }, signal);
}

async function requireWhole(path: string, { key, sha256 }: Member): Promise<void> {
  const found = await fileSha256(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new DomainError('object_missing', `The object ${key} is missing.`, { key });
    throw error;
  });
  if (found !== sha256)
    throw new DomainError('object_corrupt', `${key} has the SHA-256 ${found}; ${sha256} is recorded.`, { key });
}
