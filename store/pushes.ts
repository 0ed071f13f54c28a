import { DomainError } from '../domain/errors.js';
import { failpoint } from '../domain/failpoints.js';
import type { ProjectName } from '../domain/ids.js';
import { fromMicros } from '../domain/instants.js';
import type { OnlineShape } from '../domain/online.js';
import { stagedRowsOf, type Push, type Pushed, type StagedRow } from '../domain/pushes.js';
import type { Principal } from '../domain/principal.js';
import { only, type Database, type Queries } from './db.js';
import { notePushed } from './hand-over.js';
import { shapeOf } from './online-shapes.js';
import { createTable, generationById, lockOnlineView, tableOf, type OnlineView } from './online.js';
import { getResource } from './resources.js';
import { keyedDigest, withoutErased } from './tombstones.js';
import { sincePlanned, type PlannedOn } from './staged-rows.js';

/**
 * Writes the rows to the online table and to the staging table in one transaction, once by the push's id. They belong to the
 * revision that is live, or to the active one while nothing is. Newer data is never overwritten by older; a row of the same
 * instants is a correction and is applied.
 */
export async function pushRows(
  db: Database,
  push: Push,
  principal: Principal,
): Promise<Pushed & { repeated: boolean }> {
  const { project, view, rows, to, id } = push;
  const pushed = await db.transaction(async (tx) => {
    const at = await lockOnlineView(tx, project, view);
    const digest = await keyedDigest(tx, 'pushes', { rows, to });
    const made = await recordedAnswer(tx, push, digest);
    if (made) return { ...made, repeated: true };
    const aim = await aimOf(tx, project, view, at, to !== 'offline');
    const given = stagedRowsOf(aim.shape, rows, to, fromMicros(Date.now() * 1000));
    const staged = await withoutErased(tx, project, view, given);
    const sequence = at.sequence + staged.length;
    const into = { ...push, revision: aim.revision, after: at.sequence };
    // What was left out because it was erased must not be found by trying, so such a push is known by its id alone.
    await recordPush(tx, into, staged.length < given.length ? null : digest, principal);
    await stage(tx, into, staged);
    if (staged.length > 0) await notePushed(tx, into, sequence);
    await tx.query('UPDATE online_views SET sequence = $3 WHERE project = $1 AND view = $2', [project, view, sequence]);
    const generation =
      aim.generation ?? (to === 'offline' ? null : await beginEmpty(tx, project, view, aim, principal));
    const applied = to === 'offline' || !generation ? null : await apply(tx, generation.id, into);
    const answer: Pushed = {
      ...{ id, view, revision: aim.revision, rows: staged.length, sequence, applied },
      generation: applied === null ? null : (generation?.number ?? null),
    };
    await tx.query('UPDATE pushes SET answer = $4 WHERE project = $1 AND view = $2 AND id = $3', [project, view, id, JSON.stringify(answer)]); // prettier-ignore
    await failpoint('push.inside');
    return { ...answer, repeated: false };
  });
  await failpoint('push.after');
  return pushed;
}

/** Throws `push_id_reused` for other rows; after an erasure no digest is left to tell. */
async function recordedAnswer(tx: Queries, { project, view, id }: Push, digest: string): Promise<Pushed | null> {
  const [made] = await tx.query<{ digest: string | null; answer: Pushed }>(
    'SELECT digest, answer FROM pushes WHERE project = $1 AND view = $2 AND id = $3',
    [project, view, id],
  );
  if (made && made.digest !== null && made.digest !== digest)
    throw new DomainError('push_id_reused', `The push "${id}" of the view "${view}" had other rows.`, { id });
  return made?.answer ?? null;
}

interface Aim {
  readonly revision: number;
  readonly shape: OnlineShape;
  readonly generation: { readonly id: number; readonly number: number } | null;
}

async function aimOf(tx: Queries, project: ProjectName, view: string, at: OnlineView, online: boolean): Promise<Aim> {
  if (at.live !== null) {
    const { id, revision, shape, generation } = await generationById(tx, at.live);
    return { revision, shape, generation: online ? { id, number: generation } : null };
  }
  const declared = await getResource(tx, project, 'FeatureView', view);
  return { revision: declared.revision, shape: await shapeOf(tx, project, declared), generation: null };
}

type Into = Push & { readonly revision: number; readonly after: number };

async function recordPush(
  tx: Queries,
  { project, view, id }: Into,
  digest: string | null,
  principal: Principal,
): Promise<void> {
  await tx.query('INSERT INTO pushes (project, view, id, digest, answer, principal) VALUES ($1,$2,$3,$4,$5,$6)', [
    ...[project, view, id, digest, '{}', principal.name],
  ]);
}

async function stage(
  tx: Queries,
  { project, view, revision, id, to, after }: Into,
  rows: readonly StagedRow[],
): Promise<void> {
  await tx.query(
    `INSERT INTO pushed_rows (project, view, sequence, revision, push_id, row_index, target, key, event_time, known_at, features)
     SELECT $1, $2, $3 + r.at, $4, $5, r.at - 1, $6, r.key, r.event_time, r.known_at, r.features
     FROM unnest($7::text[], $8::timestamptz[], $9::timestamptz[], $10::text[]) WITH ORDINALITY AS r(key, event_time, known_at, features, at)`,
    [
      ...[project, view, after, revision, id, to],
      rows.map((row) => row.key),
      rows.map((row) => row.eventTime),
      rows.map((row) => row.knownAt),
      rows.map((row) => row.features),
    ],
  );
}

/** Nothing was published yet: a generation that begins with what is pushed. */
async function beginEmpty(
  tx: Queries,
  project: ProjectName,
  view: string,
  { revision, shape }: Aim,
  principal: Principal,
): Promise<{ id: number; number: number }> {
  const made = only(
    await tx.query<{ id: number; number: number }>(
      `WITH counted AS (UPDATE online_views SET generations = generations + 1 WHERE project = $1 AND view = $2 RETURNING generations)
       INSERT INTO online_generations (project, view, generation, revision, shape, snapshot, sequence, status, planned_on, made_by, workflow_id, principal, live_at)
       SELECT $1, $2, generations, $3, $4, 0, 0, 'live', 0, 'push/' || $1 || '/' || $2 || '/' || generations, '', $5, now() FROM counted
       RETURNING id, generation AS number`,
      [project, view, revision, JSON.stringify(shape), principal.name],
    ),
  );
  await createTable(tx, made.id);
  await tx.query('UPDATE online_views SET live = $3 WHERE project = $1 AND view = $2', [project, view, made.id]);
  return made;
}

/** Readers of the generation see the rows of this push that are not older than what is there. */
async function apply(tx: Queries, generation: number, { project, view, id }: Into): Promise<number> {
  const rows = await tx.query(
    `${upsertInto(generation)} SELECT DISTINCT ON (key) ${upserted} FROM pushed_rows
     WHERE project = $1 AND view = $2 AND push_id = $3 ${newestFirst} ${unlessOlder} RETURNING 1`,
    [project, view, id],
  );
  return rows.length;
}

/** Writes into a generation what it must show beside the rows that it was loaded with. Returns how many rows were written. */
export async function replayPushes(
  tx: Queries,
  project: ProjectName,
  view: string,
  generation: PlannedOn & { readonly id: number; readonly revision: number },
): Promise<number> {
  const { id, revision } = generation;
  const written = await tx.query<{ rows: number }>(
    `WITH written AS (${upsertInto(id)} SELECT DISTINCT ON (key) ${upserted} FROM pushed_rows
       WHERE ${sincePlanned({ project, view, revision }, generation)} ${newestFirst} ${unlessOlder} RETURNING 1)
     SELECT count(*) AS rows FROM written`,
  );
  return only(written).rows;
}

const upsertInto = (generation: number): string =>
  `INSERT INTO ${tableOf(generation)} AS g (key, event_time, known_at, sequence, features)`;
const upserted = 'key, event_time, coalesce(known_at, event_time), sequence, features';
const newestFirst = 'ORDER BY key, event_time DESC, coalesce(known_at, event_time) DESC, sequence DESC';
const unlessOlder = `ON CONFLICT (key) DO UPDATE SET event_time = EXCLUDED.event_time, known_at = EXCLUDED.known_at, sequence = EXCLUDED.sequence, features = EXCLUDED.features
  WHERE (g.event_time, g.known_at) <= (EXCLUDED.event_time, EXCLUDED.known_at)`;

/**
 * Forgets ids of pushes that are older than this, a few at a time: a repeat would be a push of its own. Those whose rows are still
 * staged stay, for explanations name them. Returns how many went.
 */
export async function forgetPushes(db: Queries, olderThanMicros: number): Promise<number> {
  const gone = await db.query(
    `DELETE FROM pushes WHERE (project, view, id) IN (
       SELECT project, view, id FROM pushes p WHERE pushed_at < now() - $1::double precision * interval '1 microsecond'
         AND NOT EXISTS (SELECT FROM pushed_rows r WHERE (r.project, r.view, r.push_id) = (p.project, p.view, p.id))
       ORDER BY pushed_at LIMIT ${forgottenMax}) RETURNING 1`,
    [olderThanMicros],
  );
  return gone.length;
}
const forgottenMax = 10_000;
