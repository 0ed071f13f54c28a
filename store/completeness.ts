import type { Window } from '../domain/features.js';
import type { Queries } from './db.js';
import { tableSummary, type TableRef } from './snapshots.js';
import { answeringRevision } from './tables.js';

/** Which revision answers to the plain name of a view. */
export interface Answering {
  readonly revision: number;
  /** What the view's new revision still lacks of it, from its first window to its last; null when it answers itself. */
  readonly lacks: Window | null;
}

/**
 * Notes that a materialization of this revision has ended well. It takes over the plain name when it reaches as far as the
 * revision that answers now; a repeat changes nothing.
 */
export async function completeTable(db: Queries, table: TableRef): Promise<Answering> {
  const { project, name, revision } = table;
  const current = (await answeringRevision(db, project, name)) ?? revision;
  if (current !== revision) {
    // Pushes are handed over when a revision is published, so the windows that they lie in are nothing to reach.
    const own = await tableSummary(db, table, 'sources');
    const theirs = await tableSummary(db, { ...table, revision: current }, 'sources');
    const { start, end } = theirs;
    const reaches = own.start !== null && own.end !== null && start !== null && end !== null && own.start <= start && own.end >= end; // prettier-ignore
    if (!reaches && start !== null && end !== null) return { revision: current, lacks: { start, end } };
  }
  await db.query(
    `UPDATE lake_tables SET complete_at = coalesce(complete_at, now()) WHERE project = $1 AND schema IN ('features', 'quarantine') AND name = $2 AND revision = $3 AND snapshot > 0`,
    [project, name, revision],
  );
  return { revision, lacks: null };
}
