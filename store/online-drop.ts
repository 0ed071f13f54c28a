import type { ProjectName } from '../domain/ids.js';
import type { Database, Queries } from './db.js';
import { lockOnlineView, tableOf } from './online.js';

/** Tables of the online store that nothing can come back to. */

/** How long a drop waits for somebody who still reads; the next publish tries again. */
const lockTimeout = '2s';
const lockNotAvailable = '55P03';

/** Drops all but the live generation and the one before. Returns how many. */
export async function dropRetired(db: Database, project: ProjectName, view: string): Promise<number> {
  const rows = await db.query<{ id: number }>(
    `SELECT g.id FROM online_generations g JOIN online_views v USING (project, view)
     WHERE g.project = $1 AND g.view = $2 AND g.status <> 'dropped' AND g.id IS DISTINCT FROM v.live AND g.id IS DISTINCT FROM v.previous`,
    [project, view],
  );
  let dropped = 0;
  for (const { id } of rows) if (await unlessRead(() => dropOne(db, project, view, id))) dropped += 1;
  return dropped;
}

/** Null: somebody reads it for longer than we wait. */
async function unlessRead<Result>(work: () => Promise<Result>): Promise<Result | null> {
  try {
    return await work();
  } catch (error) {
    if ((error as { code?: string }).code === lockNotAvailable) return null;
    throw error;
  }
}

/**
 * The row first: where a step is still loading the table, its end is waited for, and then there is a table to drop. Returns
 * whether it did; a generation that readers see, or a roll-back goes to, stays.
 */
async function dropOne(db: Database, project: ProjectName, view: string, id: number): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
    const at = await lockOnlineView(tx, project, view);
    if (at.live === id || at.previous === id) return false;
    const [kept] = await tx.query(
      "UPDATE online_generations SET status = 'dropped' WHERE id = $1 AND status <> 'dropped' RETURNING 1",
      [id],
    );
    if (kept) await tx.query(`DROP TABLE IF EXISTS ${tableOf(id)}`);
    return kept !== undefined;
  });
}

export interface UnfinishedGeneration {
  readonly project: ProjectName;
  readonly view: string;
  readonly id: number;
  readonly generation: number;
  readonly workflowId: string;
}

/** Generations that a publish has begun and not flipped to; they pin their snapshots. */
export const unfinishedGenerations = (db: Queries): Promise<UnfinishedGeneration[]> =>
  db.query<UnfinishedGeneration & Record<string, unknown>>(
    `SELECT project, view, id, generation, workflow_id AS "workflowId" FROM online_generations
     WHERE status IN ('building', 'loaded') AND created_at < now() - interval '1 minute' ORDER BY id`,
  );

/** Drops a generation that nobody will flip to. Returns whether it did: a step that still loads it is not waited for. */
export const dropUnfinished = async (db: Database, { project, view, id }: UnfinishedGeneration): Promise<boolean> =>
  (await unlessRead(() => dropOne(db, project, view, id))) ?? false;
