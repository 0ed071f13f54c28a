import type { Readable } from 'node:stream';
import { DomainError } from '../domain/errors.js';
import { addHandOvers, leftOf, type HandOver } from '../domain/hand-over.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { OnlineShape } from '../domain/online.js';
import type { Principal } from '../domain/principal.js';
import { liftTimeout, only, recordAudit, recordLineage, type Database, type Queries } from './db.js';
import { noteTakenOver, takeStaged } from './hand-over.js';
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
  /** What was committed of rows that had been pushed to other revisions. */
  readonly handedOver?: readonly HandOver[];
}

/**
 * Notes a generation that is to be loaded, with the pushed rows that it will hold, those that wait of other revisions among
 * them; readers see nothing of it.
 */
export async function planGeneration(db: Database, planned: PlannedGeneration): Promise<Generation> {
  const { project, view, madeBy } = planned;
  return db.transaction(async (tx) => {
    await lockOnlineView(tx, project, view);
    const [made] = await tx.query<{ id: number }>('SELECT id FROM online_generations WHERE made_by = $1', [madeBy]);
    if (made) return generationById(tx, made.id);
    await liftTimeout(tx);
    const { revision, shape, snapshot, watermark, workflowId, principal, handedOver = [] } = planned;
    const staged = await takeStaged(tx, { project, view, revision }, shape, handedOver);
    // What is left is counted by the flip, which has the last word.
    const sofar = addHandOvers(handedOver, staged.map((one) => ({ ...one, left: 0 }))); // prettier-ignore
    return only(
      await tx.query<Generation>(
        `WITH counted AS (UPDATE online_views SET generations = generations + 1 WHERE project = $1 AND view = $2 RETURNING generations, sequence, number)
         INSERT INTO online_generations AS g (project, view, generation, revision, shape, snapshot, sequence, watermark, status, planned_on, made_by, workflow_id, principal, handed_over)
         SELECT $1, $2, generations, $3, $4, $5, sequence, $6, 'building', number, $7, $8, $9, $10 FROM counted RETURNING ${generationColumns}`,
        [project, view, revision, JSON.stringify(shape), snapshot, watermark, madeBy, workflowId, principal.name, JSON.stringify(sofar)], // prettier-ignore
      ),
    );
  });
}

/**
 * Loads the table in one transaction: an attempt that dies leaves nothing, and one that comes too late changes nothing. Rows
 * are written as if they had been there for long, so that those who read them first need not note that they may be seen.
 */
export async function loadGeneration(
  db: Database,
  id: number,
  rowHash: () => Promise<string>,
  rows: () => Readable,
): Promise<Generation> {
  return db.transaction(async (tx) => {
    await liftTimeout(tx);
    await tx.query('SELECT 1 FROM online_generations WHERE id = $1 FOR UPDATE', [id]);
    const generation = await generationById(tx, id);
    if (generation.status !== 'building') return generation;
    await tx.query(createHeap(id));
    const count = await tx.copyIn(
      `COPY ${tableOf(id)} (key, event_time, known_at, sequence, features) FROM STDIN (FORMAT csv, FREEZE)`,
      rows(),
    );
    await tx.query(addIndex(id));
    await tx.query(`ANALYZE ${tableOf(id)}`);
    await tx.query("UPDATE online_generations SET status = 'loaded', rows = $2, row_hash = $3, loaded_at = now() WHERE id = $1", [id, count, await rowHash()]); // prettier-ignore
    return generationById(tx, id);
  });
}

export interface Flip {
  readonly generation: Generation;
  /** Pushed rows that were written again before the pointer moved. */
  readonly replayed: number;
  /** The generation that readers saw before; null for the first. */
  readonly before: number | null;
  /** By revision: what was taken over of rows that had been pushed to it, and what was left. */
  readonly handedOver: readonly HandOver[];
  /** Rows that were pushed to other revisions, and that readers and joins of this one do not see. */
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
    const { planned_on, handed_over } = only(await tx.query<{ planned_on: number; handed_over: HandOver[] }>('SELECT planned_on, handed_over FROM online_generations WHERE id = $1', [id])); // prettier-ignore
    if (generation.status !== 'loaded' || planned_on !== at.number) {
      const message = `The pointer of "${view}" was moved after generation ${generation.generation} had been planned; it stays where it is.`;
      throw new DomainError('generation_moved', message, { view, generation: generation.generation });
    }
    const move = { action: 'published', principal, workflowId: generation.workflowId, reason: null } as const;
    const flip = await flipTo(tx, project, generation, { before, previous: at.live, handedOver: handed_over, move });
    await recordLineage(tx, project, [
      {
        from: ['table', `features/${view}@r${generation.revision}@s${generation.snapshot}`],
        to: ['online', `${view}/g${generation.generation}`],
      },
    ]);
    await forgetBeaten(tx, project, view, id, at.live);
    return flip;
  });
}

interface Flipping {
  readonly before: Generation | null;
  /** What a roll-back will go to from then on. */
  readonly previous: number | null;
  /** What the generation has of other revisions already. */
  readonly handedOver: readonly HandOver[];
  readonly move: Pick<Move, 'action' | 'principal' | 'workflowId' | 'reason'>;
}

/** The generation shows what was pushed since it was planned, to whichever revision; then readers see it. */
async function flipTo(
  tx: Queries,
  project: ProjectName,
  generation: Generation,
  { before, previous, handedOver: already, move }: Flipping,
): Promise<Flip> {
  const { id, view, revision, shape } = generation;
  const taking = { project, view, revision };
  const handedOver = addHandOvers(already, await takeStaged(tx, taking, shape, already));
  const replayed = await replayPushes(tx, project, view, generation);
  await noteTakenOver(tx, taking, before?.revision ?? null);
  await movePointer(tx, project, view, { from: before?.id ?? null, to: id, previous });
  await recordMove(tx, project, generation, { ...move, replayed, handedOver });
  const left = leftOf(handedOver);
  return { generation: await generationById(tx, id), replayed, before: before?.generation ?? null, handedOver, left };
}

async function recordedFlip(tx: Queries, project: ProjectName, generation: Generation): Promise<Flip> {
  const [row] = await tx.query<{ replayed: number; before: number | null; handedOver: HandOver[] }>(
    `SELECT h.replayed, h.handed_over AS "handedOver", p.generation AS before FROM online_history h LEFT JOIN online_views v ON (v.project, v.view) = (h.project, h.view)
       LEFT JOIN online_generations p ON p.id = v.previous
     WHERE h.project = $1 AND h.view = $2 AND h.generation = $3 AND h.action = 'published' ORDER BY h.number DESC LIMIT 1`,
    [project, generation.view, generation.generation],
  );
  const { replayed = 0, before = null, handedOver = [] } = row ?? {};
  return { generation, replayed, before, handedOver, left: leftOf(handedOver) };
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
    const move = { action: 'rolled back', principal, workflowId: null, reason } as const;
    return flipTo(tx, project, generation, { before, previous: null, handedOver: [], move });
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
  readonly handedOver: readonly HandOver[];
  readonly reason: string | null;
  readonly workflowId: string | null;
  readonly principal: Principal;
}

async function recordMove(
  tx: Queries,
  project: ProjectName,
  { view, generation }: Generation,
  { action, replayed, handedOver, reason, workflowId, principal }: Move,
): Promise<void> {
  await tx.query(
    `INSERT INTO online_history (project, view, number, action, generation, replayed, reason, workflow_id, principal, handed_over)
     SELECT project, view, number, $3, $4, $5, $6, $7, $8, $9 FROM online_views WHERE project = $1 AND view = $2`,
    [project, view, action, generation, replayed, reason, workflowId, principal.name, JSON.stringify(handedOver)],
  );
  await recordAudit(tx, project, principal, action, `online/${view}/g${generation}`, { replayed, handedOver, reason });
}

/**
 * Rows that were pushed online only, that the revision of a kept generation has had, and that no kept generation shows, be it as
 * they were pushed or as they were taken over: every publish would beat them again.
 */
async function forgetBeaten(tx: Queries, project: ProjectName, view: string, live: number, previous: number | null) {
  const kept = [live, ...(previous === null ? [] : [previous])];
  const shown = kept.map((id) => `EXISTS (SELECT FROM ${tableOf(id)} g WHERE g.key = same.key AND g.sequence = same.sequence)`); // prettier-ignore
  const same = `SELECT FROM pushed_rows same WHERE (same.project, same.view, same.push_id, same.row_index) = (p.project, p.view, p.push_id, p.row_index)`;
  await tx.query(
    `DELETE FROM pushed_rows p WHERE project = $1 AND view = $2 AND target = 'online'
       AND EXISTS (${same} AND same.revision IN (SELECT revision FROM online_generations WHERE id = ANY($3)))
       AND NOT EXISTS (${same} AND (${shown.join(' OR ')}))`,
    [project, view, kept],
  );
}
