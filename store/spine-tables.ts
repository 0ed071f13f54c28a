import type { TakenSpine } from '../domain/datasets.js';
import { isDomainError } from '../domain/errors.js';
import type { Instant, ProjectName, Sha256 } from '../domain/ids.js';
import { spineTable } from '../domain/spines.js';
import type { SpineTables, StagedSpine } from '../domain/spine-tables.js';
import type { Database } from './db.js';
import { commitWindow, type WindowCommit } from './snapshots.js';
import { tables } from './tables.js';

/** A spine has one window, the whole of time: nobody has said yet which column is its event time. */
const wholeOfTime = { start: '0001-01-01T00:00:00.000000Z' as Instant, end: '9999-12-31T00:00:00.000000Z' as Instant };

export const spineCommit = (
  { project, spine, file, columns, durationMs, principal }: StagedSpine,
  workflowId: string,
): WindowCommit => ({
  table: { project, schema: 'datasets', name: spineTable(spine), revision: 1 },
  window: {
    ...{ ...wholeOfTime, files: [file], rows: file.rows, bytes: file.bytes, rowHash: file.rowHash },
    ...{ sourceFingerprint: spine, durationMs },
  },
  ...{ columns, predecessor: null, sourceVersion: spine, workflowId, principal: { name: principal } },
});

export async function findSpine(db: Database, project: ProjectName, spine: Sha256): Promise<TakenSpine | null> {
  try {
    const { rows, columns, files } = await tables(db).resolve(project, 'datasets', spineTable(spine));
    return files.length === 0 ? null : { spine, rows, columns: [...columns] };
  } catch (error) {
    if (isDomainError(error) && error.code === 'table_unknown') return null;
    throw error;
  }
}

/** Spines that are put without a workflow: the call itself is repeated, and finds what it had committed. */
export const spineTables = (db: Database): SpineTables => ({
  find: (project, spine) => findSpine(db, project, spine),
  commit: async (spine) =>
    !(await commitWindow(db, spineCommit(spine, `put-spine/${spine.project}/${spine.spine}`))).repeated,
});
