import { isDomainError } from '../domain/errors.js';
import type { StagedWindow } from '../domain/features.js';
import { failpoint } from '../domain/failpoints.js';
import type { Objects } from '../lake/objects.js';
import type { Database } from '../store/db.js';
import { commitWindow, type Committed, type WindowCommit } from '../store/snapshots.js';

/** Refusals that leave no doubt: nothing was committed. After a lost connection that is not known, and the file must stay. */
const refusals = new Set(['generation_moved', 'table_columns_changed', 'erased_meanwhile']);

/**
 * Commits a staged window, together with the `others` that its transaction commits; files that no commit names, because
 * another attempt was faster, are removed at once.
 */
export async function commitStaged(
  db: Database,
  lake: Objects,
  commit: WindowCommit,
  others: readonly StagedWindow[] = [],
): Promise<Committed> {
  const abandon = () => abandonStaged(lake, [commit.window, ...others]);
  try {
    await failpoint('commit.before');
    const committed = await commitWindow(db, commit);
    await failpoint('commit.after');
    if (committed.repeated) await abandon();
    return committed;
  } catch (error) {
    if (isDomainError(error) && refusals.has(error.code)) await abandon();
    throw error;
  }
}

export async function abandonStaged(lake: Objects, windows: readonly StagedWindow[]): Promise<void> {
  await Promise.all(windows.flatMap(({ files }) => files.map(({ key }) => lake.remove(key))));
}
