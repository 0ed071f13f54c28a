import type { ProjectName } from '../domain/ids.js';
import { fitOf, ofEntity, type HandOver } from '../domain/hand-over.js';
import type { OnlineShape } from '../domain/online.js';
import { literal, only, type Queries } from './db.js';
import { shapeOf } from './online-shapes.js';
import { getResource } from './resources.js';

/** Pushed rows that go from revision to revision of a view, so that what was acknowledged once is read for as long as it can be. */

export interface TakingRevision {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
}

const values = ({ project, view, revision }: TakingRevision) => [project, view, revision];

export interface GivingRevision {
  readonly revision: number;
  /** Whether it was pushed to after the one that takes: its rows then stand above. */
  readonly above: boolean;
}

/** Revisions that rows were pushed to which this one has not taken over, the last pushed to at the end. */
export async function givingRevisions(db: Queries, taking: TakingRevision): Promise<GivingRevision[]> {
  return db.query<GivingRevision & Record<string, unknown>>(
    `SELECT o.revision, o.last_sequence > coalesce(t.last_sequence, 0) AS above
     FROM pushed_revisions o LEFT JOIN pushed_revisions t ON (t.project, t.view, t.revision) = ($1, $2, $3::int)
     WHERE o.project = $1 AND o.view = $2 AND o.revision <> $3 AND o.last_sequence > coalesce(t.taken_over, 0)
     ORDER BY o.last_sequence`,
    values(taking),
  );
}

/** In the transaction that pushes to it, which holds the view's lock. */
export async function notePushed(tx: Queries, pushed: TakingRevision, sequence: number): Promise<void> {
  await tx.query(
    `INSERT INTO pushed_revisions (project, view, revision, last_sequence) VALUES ($1, $2, $3, $4)
     ON CONFLICT (project, view, revision) DO UPDATE SET last_sequence = EXCLUDED.last_sequence`,
    [...values(pushed), sequence],
  );
}

/**
 * Stages for this revision what waits of the others, or was flushed after the files that were taken over: once, whatever is
 * repeated. The caller holds the view's lock, so what is pushed meanwhile comes before it, or to whom it makes live.
 */
export async function takeStaged(
  tx: Queries,
  taking: TakingRevision,
  shape: OnlineShape,
  files: readonly HandOver[],
): Promise<HandOver[]> {
  const { project, view } = taking;
  const taken: HandOver[] = [];
  const others = await givingRevisions(tx, taking);
  if (others.length === 0) return [];
  const wanted = ofEntity(shape, (await getResource(tx, project, 'FeatureView', view, taking.revision)).spec);
  for (const { revision } of others) {
    const other = await getResource(tx, project, 'FeatureView', view, revision);
    const giving = await shapeOf(tx, project, other);
    const fit = fitOf(ofEntity(giving, other.spec), wanted);
    const snapshot = files.find((one) => one.revision === revision)?.snapshot ?? 0;
    const lacked = lackedRows(taking, revision, snapshot);
    if (fit.why === null) {
      const same =
        giving.features.length === fit.features.length && fit.features.every((at, place) => at === place + 1);
      const rows = await copyRows(tx, taking, lacked, same ? null : fit.features);
      taken.push({ revision, snapshot, rows, left: 0, why: null });
    } else {
      const [row] = await tx.query<{ left: number }>(`SELECT count(*) AS left FROM (${lacked}) AS x`);
      taken.push({ revision, snapshot, rows: 0, left: row?.left ?? 0, why: fit.why });
    }
  }
  return taken;
}

/** What was pushed to the revision itself and is neither in the files of its snapshot, nor taken over, nor beaten by a later push. */
function lackedRows({ project, view, revision: taking }: TakingRevision, revision: number, snapshot: number): string {
  const of = (alias: string, which: number) =>
    `${alias}.project = ${literal(project)} AND ${alias}.view = ${literal(view)} AND ${alias}.revision = ${Math.trunc(which)}`;
  const takenOver = `coalesce((SELECT taken_over FROM pushed_revisions r WHERE ${of('r', taking)}), 0)`;
  return `SELECT x.* FROM pushed_rows x WHERE ${of('x', revision)} AND x.origin IS NULL AND x.sequence > ${takenOver}
      AND (x.target = 'online' OR x.flushed_snapshot IS NULL OR x.flushed_snapshot > ${Math.trunc(snapshot)})
      AND NOT EXISTS (SELECT FROM pushed_rows t WHERE ${of('t', taking)} AND (t.push_id, t.row_index) = (x.push_id, x.row_index))
      AND NOT EXISTS (SELECT FROM pushed_rows t WHERE ${of('t', taking)} AND t.key = x.key AND t.event_time = x.event_time
        AND coalesce(t.known_at, t.event_time) = coalesce(x.known_at, x.event_time) AND coalesce(t.origin, t.sequence) > x.sequence)`;
}

/** Texts of features are taken apart and put together as they are: a number keeps all of its digits. */
const featuresAt = (places: readonly number[]): string =>
  `(SELECT '[' || string_agg(e.value::text, ',' ORDER BY w.place) || ']' FROM unnest(ARRAY[${places.join(',')}]) WITH ORDINALITY AS w(at, place)
      JOIN json_array_elements(x.features::json) WITH ORDINALITY AS e(value, at) ON e.at = w.at)`;

/** They come after all that was pushed so far, in the order in which they were pushed. */
async function copyRows(
  tx: Queries,
  taking: TakingRevision,
  lacked: string,
  places: readonly number[] | null,
): Promise<number> {
  const copied = await tx.query<{ rows: number }>(
    `WITH taken AS (
       INSERT INTO pushed_rows (project, view, sequence, revision, push_id, row_index, target, key, event_time, known_at, features, pushed_at, origin)
       SELECT x.project, x.view, v.sequence + row_number() OVER (ORDER BY x.sequence), $3, x.push_id, x.row_index, x.target, x.key, x.event_time, x.known_at,
         ${places === null ? 'x.features' : featuresAt(places)}, x.pushed_at, x.sequence
       FROM (${lacked}) AS x JOIN online_views v ON (v.project, v.view) = ($1, $2) RETURNING 1
     ), counted AS (SELECT count(*) AS rows FROM taken)
     UPDATE online_views v SET sequence = v.sequence + counted.rows FROM counted WHERE v.project = $1 AND v.view = $2 RETURNING counted.rows`,
    values(taking),
  );
  return only(copied).rows;
}

/**
 * Notes that this revision has what it can read of all that was pushed so far. So has the one that was live until now, when it
 * lacked nothing before: all that was pushed since was pushed to it.
 */
export async function noteTakenOver(tx: Queries, taking: TakingRevision, before: number | null): Promise<void> {
  const sequence = '(SELECT sequence FROM online_views v WHERE v.project = $1 AND v.view = $2)';
  await tx.query(
    `INSERT INTO pushed_revisions (project, view, revision, taken_over) SELECT $1, $2, r, 0 FROM unnest(ARRAY[$3::int, $4::int]) AS r WHERE r IS NOT NULL
     ON CONFLICT DO NOTHING`,
    [...values(taking), before],
  );
  await tx.query(
    `UPDATE pushed_revisions p SET taken_over = ${sequence} WHERE p.project = $1 AND p.view = $2 AND (p.revision = $3 OR (p.revision = $4::int
       AND NOT EXISTS (SELECT FROM pushed_revisions o WHERE (o.project, o.view) = ($1, $2) AND o.revision <> p.revision AND o.last_sequence > p.taken_over)))`,
    [...values(taking), before],
  );
}

/**
 * Whether there is something of the revision itself: windows of its sources, or pushes. Where no revision has windows the view is
 * fed by pushes alone.
 */
export async function hasOwnRows(db: Queries, taking: TakingRevision): Promise<boolean> {
  const sources = `SELECT FROM window_heads WHERE project = $1 AND schema = 'features' AND name = $2 AND lane = 'sources'`;
  const rows = await db.query<{ own: boolean }>(
    `SELECT EXISTS (${sources} AND revision = $3) OR NOT EXISTS (${sources})
       OR EXISTS (SELECT FROM pushed_revisions WHERE (project, view, revision) = ($1, $2, $3::int) AND last_sequence > 0) AS own`,
    values(taking),
  );
  return only(rows).own;
}
