import type { Readable } from 'node:stream';
import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { OnlineShape } from '../domain/online.js';
import type { Principal } from '../domain/principal.js';
import { liftTimeout, only, recordAudit, recordLineage, type Database, type Queries } from './db.js';
import {
  addIndex,
  createHeap,
  generationById,
  generationColumns,
  lockOnlineView,
  tableOf,
  type Generation,
} from './online.js';
import { replayPushes } from './pushes.js';

/** How the pointer of a view moves: a generation is planned, loaded and flipped to; or the one before is taken back. */

export interface PlannedGeneration {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
  readonly shape: OnlineShape;
  readonly snapshot: number;
  readonly watermark: Instant;
  /** The execution that publishes: a repeat gets the generation that it planned. */
  readonly madeBy: string;
  readonly workflowId: string;
  readonly principal: Principal;
}

/** Notes a generation that is to be loaded, with the pushed rows that it will hold; readers see nothing of it. */
export async function planGeneration(db: Database, planned: PlannedGeneration): Promise<Generation> {
  const { project, view, madeBy } = planned;
  return db.transaction(async (tx) => {
    await lockOnlineView(tx, project, view);
    const [made] = await tx.query<{ id: number }>('SELECT id FROM online_generations WHERE made_by = $1', [madeBy]);
    if (made) return generationById(tx, made.id);
    const { revision, shape, snapshot, watermark, workflowId, principal } = planned;
    return only(
      await tx.query<Generation>(
        `WITH counted AS (UPDATE online_views SET generations = generations + 1 WHERE project = $1 AND view = $2 RETURNING generations, sequence, number)
         INSERT INTO online_generations AS g (project, view, generation, revision, shape, snapshot, sequence, watermark, status, planned_on, made_by, workflow_id, principal)
         SELECT $1, $2, generations, $3, $4, $5, sequence, $6, 'building', number, $7, $8, $9 FROM counted RETURNING ${generationColumns}`,
        [project, view, revision, JSON.stringify(shape), snapshot, watermark, madeBy, workflowId, principal.name],
      ),
    );
  });
}

/** Loads the table in one transaction: an attempt that dies leaves nothing, and one that comes too late changes nothing. */
export async function loadGeneration(
  db: Database,
  id: number,
  rowHash: string,
  rows: () => Readable,
): Promise<Generation> {
  return db.transaction(async (tx) => {
    await liftTimeout(tx);
    await tx.query('SELECT 1 FROM online_generations WHERE id = $1 FOR UPDATE', [id]);
    const generation = await generationById(tx, id);
    if (generation.status !== 'building') return generation;
    await tx.query(createHeap(id));
    const count = await tx.copyIn(
      `COPY ${tableOf(id)} (key, event_time, known_at, sequence, features) FROM STDIN (FORMAT csv)`,
      rows(),
    );
    await tx.query(addIndex(id));
    await tx.query(`ANALYZE ${tableOf(id)}`);
    await tx.query("UPDATE online_generations SET status = 'loaded', rows = $2, row_hash = $3, loaded_at = now() WHERE id = $1", [id, count, rowHash]); // prettier-ignore
    return generationById(tx, id);
  });
}

export interface Flip {
  readonly generation: Generation;
  /** Pushed rows that were written again before the pointer moved. */
  readonly replayed: number;
  /** The generation that readers saw before; null for the first. */
  readonly before: number | null;
  /** Rows that were pushed to another revision, whose generation readers saw before, and that they see no longer. */
  readonly left: number;
}

/** Moves the pointer to a loaded generation by compare-and-set, after what was pushed meanwhile was written into it. */
export async function flipGeneration(
  db: Database,
  project: ProjectName,
  id: number,
  principal: Principal,
): Promise<Flip> {
  return db.transaction(async (tx) => {
    await liftTimeout(tx);
    const { view } = await generationById(tx, id);
    const at = await lockOnlineView(tx, project, view);
    const generation = await generationById(tx, id);
    const before = at.live === null ? null : await generationById(tx, at.live);
    if (generation.status === 'live') return recordedFlip(tx, project, generation);
    const { planned_on } = only(await tx.query<{ planned_on: number }>('SELECT planned_on FROM online_generations WHERE id = $1', [id])); // prettier-ignore
    if (generation.status !== 'loaded' || planned_on !== at.number) {
      const message = `The pointer of "${view}" was moved after generation ${generation.generation} had been planned; it stays where it is.`;
      throw new DomainError('generation_moved', message, { view, generation: generation.generation });
    }
    const replayed = await replayPushes(tx, project, view, generation);
    await movePointer(tx, project, view, { from: at.live, to: id, previous: at.live });
    await recordMove(tx, project, generation, { action: 'published', replayed, principal, workflowId: generation.workflowId, reason: null }); // prettier-ignore
    await recordLineage(tx, project, [
      {
        from: ['table', `features/${view}@r${generation.revision}@s${generation.snapshot}`],
        to: ['online', `${view}/g${generation.generation}`],
      },
    ]);
    await forgetBeaten(tx, project, view, id, at.live);
    const left = await leftBehind(tx, project, generation, before?.revision ?? null);
    return { generation: await generationById(tx, id), replayed, before: before?.generation ?? null, left };
  });
}

async function recordedFlip(tx: Queries, project: ProjectName, generation: Generation): Promise<Flip> {
  const [row] = await tx.query<{ replayed: number; before: number | null; revision: number | null }>(
    `SELECT h.replayed, p.generation AS before, p.revision FROM online_history h LEFT JOIN online_views v ON (v.project, v.view) = (h.project, h.view)
       LEFT JOIN online_generations p ON p.id = v.previous
     WHERE h.project = $1 AND h.view = $2 AND h.generation = $3 AND h.action = 'published' ORDER BY h.number DESC LIMIT 1`,
    [project, generation.view, generation.generation],
  );
  const left = await leftBehind(tx, project, generation, row?.revision ?? null);
  return { generation, replayed: row?.replayed ?? 0, before: row?.before ?? null, left };
}

/** A revision may compute a feature otherwise, so what was pushed to the one before is not taken over: it is counted. */
async function leftBehind(
  tx: Queries,
  project: ProjectName,
  { view, revision }: Generation,
  before: number | null,
): Promise<number> {
  if (before === revision) return 0;
  const rows = await tx.query<{ left: number }>(
    "SELECT count(*) AS left FROM pushed_rows WHERE project = $1 AND view = $2 AND revision = $3 AND target <> 'offline'",
    [project, view, before],
  );
  return only(rows).left;
}

/** Readers see the generation before, and everything that was pushed since: nothing that was acknowledged is lost. */
export async function rollBack(
  db: Database,
  project: ProjectName,
  view: string,
  reason: string | null,
  principal: Principal,
): Promise<Flip> {
  return db.transaction(async (tx) => {
    await liftTimeout(tx);
    const at = await lockOnlineView(tx, project, view);
    if (at.live === null || at.previous === null)
      throw new DomainError('generation_none_older', `The view "${view}" has no older generation.`, { view });
    const [before, generation] = [await generationById(tx, at.live), await generationById(tx, at.previous)];
    const replayed = await replayPushes(tx, project, view, generation);
    await movePointer(tx, project, view, { from: at.live, to: at.previous, previous: null });
    await recordMove(tx, project, generation, { action: 'rolled back', replayed, principal, workflowId: null, reason });
    const { left } = only(
      await tx.query<{ left: number }>(
        'SELECT count(*) AS left FROM pushed_rows WHERE project = $1 AND view = $2 AND revision <> $3 AND sequence > $4',
        [project, view, generation.revision, generation.sequence],
      ),
    );
    return { generation: await generationById(tx, generation.id), replayed, before: before.generation, left };
  });
}

async function movePointer(
  tx: Queries,
  project: ProjectName,
  view: string,
  { from, to, previous }: { from: number | null; to: number; previous: number | null },
): Promise<void> {
  await tx.query("UPDATE online_generations SET status = 'retired', retired_at = now() WHERE id = $1", [from]);
  await tx.query("UPDATE online_generations SET status = 'live', live_at = now(), retired_at = NULL WHERE id = $1", [
    to,
  ]);
  await tx.query('UPDATE online_views SET live = $3, previous = $4, number = number + 1, updated_at = now() WHERE project = $1 AND view = $2', [project, view, to, previous]); // prettier-ignore
}

interface Move {
  readonly action: 'published' | 'rolled back';
  readonly replayed: number;
  readonly reason: string | null;
  readonly workflowId: string | null;
  readonly principal: Principal;
}

async function recordMove(
  tx: Queries,
  project: ProjectName,
  { view, generation }: Generation,
  { action, replayed, reason, workflowId, principal }: Move,
): Promise<void> {
  await tx.query(
    `INSERT INTO online_history (project, view, number, action, generation, replayed, reason, workflow_id, principal)
     SELECT project, view, number, $3, $4, $5, $6, $7, $8 FROM online_views WHERE project = $1 AND view = $2`,
    [project, view, action, generation, replayed, reason, workflowId, principal.name],
  );
  await recordAudit(tx, project, principal, action, `online/${view}/g${generation}`, { replayed, reason });
}

/** Rows that were pushed online only, and that neither kept generation shows: every publish would beat them again. */
async function forgetBeaten(tx: Queries, project: ProjectName, view: string, live: number, previous: number | null) {
  const kept = [live, ...(previous === null ? [] : [previous])];
  const unseen = kept.map((id) => `NOT EXISTS (SELECT 1 FROM ${tableOf(id)} g WHERE g.key = p.key AND g.sequence = p.sequence)`); // prettier-ignore
  await tx.query(
    `DELETE FROM pushed_rows p WHERE project = $1 AND view = $2 AND target = 'online' AND ${unseen.join(' AND ')}`,
    [project, view],
  );
}

/** How long a drop waits for somebody who still reads; the next publish tries again. */
const lockTimeout = '2s';
const lockNotAvailable = '55P03';

/** Drops the tables that nothing can come back to: all but the live generation and the one before. Returns how many. */
export async function dropRetired(db: Database, project: ProjectName, view: string): Promise<number> {
  const rows = await db.query<{ id: number }>(
    `SELECT g.id FROM online_generations g JOIN online_views v USING (project, view)
     WHERE g.project = $1 AND g.view = $2 AND g.status <> 'dropped' AND g.id IS DISTINCT FROM v.live AND g.id IS DISTINCT FROM v.previous`,
    [project, view],
  );
  let dropped = 0;
  for (const { id } of rows)
    try {
      dropped += await dropOne(db, project, view, id);
    } catch (error) {
      if ((error as { code?: string }).code !== lockNotAvailable) throw error;
    }
  return dropped;
}

async function dropOne(db: Database, project: ProjectName, view: string, id: number): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
    const at = await lockOnlineView(tx, project, view);
    if (at.live === id || at.previous === id) return 0;
    await tx.query(`DROP TABLE IF EXISTS ${tableOf(id)}`);
    await tx.query("UPDATE online_generations SET status = 'dropped' WHERE id = $1", [id]);
    return 1;
  });
}
