import { DomainError } from '../domain/errors.js';
import type { HandOver } from '../domain/hand-over.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { OnlineShape } from '../domain/online.js';
import type { Queries } from './db.js';

/** Generations of the online store, the pointer to the live one, and reading from it. `online-publish.ts` moves the pointer. */

export type GenerationStatus = 'building' | 'loaded' | 'live' | 'retired' | 'dropped';

export interface Generation {
  readonly id: number;
  readonly view: string;
  readonly generation: number;
  readonly revision: number;
  readonly shape: OnlineShape;
  readonly snapshot: number;
  readonly sequence: number;
  /** Null: it began empty, with a push. */
  readonly watermark: Instant | null;
  readonly status: GenerationStatus;
  readonly rows: number | null;
  readonly rowHash: string | null;
  readonly workflowId: string;
  readonly createdAt: Instant;
  readonly liveAt: Instant | null;
}

export const generationColumns = `g.id, g.view, g.generation, g.revision, g.shape, g.snapshot, g.sequence, g.watermark, g.status, g.rows,
  g.row_hash AS "rowHash", g.workflow_id AS "workflowId", g.created_at AS "createdAt", g.live_at AS "liveAt"`;

/** A view’s place in the online store; all zero and null before anything was published or pushed. */
export interface OnlineView {
  readonly live: number | null;
  readonly previous: number | null;
  readonly number: number;
  readonly sequence: number;
}

/** The physical table of a generation. */
export const tableOf = (id: number): string => `online.g${id}`;

/**
 * An online table without its index, which is made when the rows are there. Rows stay whole as long as a page takes them:
 * beside it, each would be one look-up more to read, and several times as much work to write.
 */
export const createHeap = (id: number): string =>
  `CREATE TABLE ${tableOf(id)} (key text NOT NULL, event_time timestamptz NOT NULL, known_at timestamptz NOT NULL, sequence bigint NOT NULL, features text NOT NULL)
   WITH (toast_tuple_target = 8160)`;
export const addIndex = (id: number): string => `ALTER TABLE ${tableOf(id)} ADD PRIMARY KEY (key)`;

export async function createTable(tx: Queries, id: number): Promise<void> {
  await tx.query(createHeap(id));
  await tx.query(addIndex(id));
}

export async function onlineView(db: Queries, project: ProjectName, view: string): Promise<OnlineView> {
  const [row] = await db.query<OnlineView>(
    'SELECT live, previous, number, sequence FROM online_views WHERE project = $1 AND view = $2',
    [project, view],
  );
  return row ?? { live: null, previous: null, number: 0, sequence: 0 };
}

/** The same, locked until the transaction ends: whoever else changes what readers of the view see waits. */
export async function lockOnlineView(tx: Queries, project: ProjectName, view: string): Promise<OnlineView> {
  await tx.query('INSERT INTO online_views (project, view) VALUES ($1, $2) ON CONFLICT DO NOTHING', [project, view]);
  await tx.query('SELECT 1 FROM online_views WHERE project = $1 AND view = $2 FOR UPDATE', [project, view]);
  return onlineView(tx, project, view);
}

export async function liveGeneration(db: Queries, project: ProjectName, view: string): Promise<Generation | null> {
  const [row] = await db.query<Generation>(
    `SELECT ${generationColumns} FROM online_views v JOIN online_generations g ON g.id = v.live WHERE v.project = $1 AND v.view = $2`,
    [project, view],
  );
  return row ?? null;
}

export async function generationById(db: Queries, id: number): Promise<Generation> {
  const [row] = await db.query<Generation>(`SELECT ${generationColumns} FROM online_generations g WHERE g.id = $1`, [
    id,
  ]);
  if (!row) throw new DomainError('internal', `There is no generation with the id ${id}.`);
  return row;
}

/** Whether readers have seen this snapshot of the revision, or a newer one; a table without a commit has nothing to show. */
export async function wasShown(
  db: Queries,
  { project, view, revision, snapshot }: Pick<Generation, 'view' | 'revision' | 'snapshot'> & { project: ProjectName },
): Promise<boolean> {
  const rows = await db.query(
    `SELECT 1 FROM online_generations WHERE project = $1 AND view = $2 AND revision = $3 AND snapshot >= $4 AND live_at IS NOT NULL LIMIT 1`,
    [project, view, revision, snapshot],
  );
  return snapshot === 0 || rows.length > 0;
}

/** Newest first. */
export async function listGenerations(
  db: Queries,
  project: ProjectName,
  view: string,
  { limit = 100, before }: { limit?: number; before?: number } = {},
): Promise<Generation[]> {
  return db.query<Generation>(
    `SELECT ${generationColumns} FROM online_generations g WHERE g.project = $1 AND g.view = $2 AND ($4::int IS NULL OR g.generation < $4)
     ORDER BY g.generation DESC LIMIT $3`,
    [project, view, limit, before ?? null],
  );
}

export interface OnlineMove {
  readonly number: number;
  readonly action: 'published' | 'rolled back';
  readonly generation: number;
  readonly replayed: number;
  /** By revision: what was taken over of rows that had been pushed to it, and what was left. */
  readonly handedOver: readonly HandOver[];
  readonly reason: string | null;
  readonly workflowId: string | null;
  readonly principal: string;
  readonly at: Instant;
}

/** How the pointer moved, newest first. */
export async function onlineHistory(
  db: Queries,
  project: ProjectName,
  view: string,
  limit = 20,
): Promise<OnlineMove[]> {
  return db.query<OnlineMove>(
    `SELECT number, action, generation, replayed, handed_over AS "handedOver", reason, workflow_id AS "workflowId", principal, at
     FROM online_history WHERE project = $1 AND view = $2 ORDER BY number DESC LIMIT $3`,
    [project, view, limit],
  );
}

export interface OnlineRow {
  readonly key: string;
  readonly eventTime: Instant;
  readonly knownAt: Instant;
  /** JSON, in the order of the shape's features. */
  readonly features: string;
}

/**
 * The rows of these keys, all from one generation: one statement sees one state of pointer and table. Null when the
 * generation is live no longer, or its table was dropped; then the caller looks for the live one and reads again.
 */
export async function readRows(
  db: Queries,
  project: ProjectName,
  { id, view }: Generation,
  keys: readonly string[],
): Promise<OnlineRow[] | null> {
  try {
    const rows = await db.query<{ live: number | null; key: string | null } & Omit<OnlineRow, 'key'>>(
      `SELECT v.live, g.key, g.event_time AS "eventTime", g.known_at AS "knownAt", g.features
       FROM online_views v LEFT JOIN ${tableOf(id)} g ON g.key = ANY($3) WHERE v.project = $1 AND v.view = $2`,
      [project, view, keys],
      `online.read.${id}`,
    );
    if (rows[0]?.live !== id) return null;
    return rows.filter((row): row is typeof row & { key: string } => row.key !== null);
  } catch (error) {
    if ((error as { code?: string }).code === undefinedTable) return null;
    throw error;
  }
}

const undefinedTable = '42P01';
