import type { ProjectName } from '../domain/ids.js';
import { liftTimeout, only, type Database, type Queries } from './db.js';
import { requireOpen, type ErasureKey } from './erasures.js';
import { lockOnlineView, tableOf } from './online.js';

/** Rows of PostgreSQL under a key: the online store, what waits to be flushed, logs, labels, samples of refused rows. */
interface Place {
  readonly what: string;
  readonly from: string;
  readonly where: string;
  readonly values: readonly unknown[];
  /** Instead of deleting the rows. */
  readonly set?: string;
  /** What is said of the rows as a whole, and is not so any more once some are gone; takes the same transaction. */
  readonly also?: { readonly sql: string; readonly values: readonly unknown[] };
}

/** A JSON object holds the key when every column's value, as text, is the key's; $2 has the columns of each way, $3 the values. */
const jsonHolds = (column: string): string =>
  `EXISTS (SELECT FROM jsonb_array_elements($2::jsonb) AS way WHERE NOT EXISTS (
     SELECT FROM jsonb_array_elements_text(way) WITH ORDINALITY AS c(name, at) WHERE ${column} ->> c.name IS DISTINCT FROM ($3::jsonb) ->> (c.at - 1)::int))`;

/** What is pushed and what readers see of a view; in a transaction that holds the view's lock. */
async function onlinePlaces(tx: Queries, project: ProjectName, view: string, text: string): Promise<Place[]> {
  const generations = await tx.query<{ id: number }>(
    `SELECT id FROM online_generations WHERE project = $1 AND view = $2 AND status IN ('loaded', 'live', 'retired') ORDER BY id`,
    [project, view],
  );
  return [
    {
      ...{ what: 'pushed', from: 'pushed_rows', values: [project, view, text] },
      where: 'project = $1 AND view = $2 AND key = $3',
    },
    ...generations.map(({ id }) => ({
      ...{ what: 'online', from: tableOf(id), where: 'key = $1', values: [text] },
      // What was loaded had another hash; nobody has the rows of then to compute it from.
      also: {
        sql: `UPDATE online_generations SET rows = (SELECT count(*) FROM ${tableOf(id)}), row_hash = NULL WHERE id = $1`,
        values: [id],
      },
    })),
  ];
}

function placesOf(
  project: ProjectName,
  { entity, values, text }: ErasureKey,
  tuples: readonly (readonly string[])[],
): Place[] {
  const json = (ways: readonly (readonly string[])[]) => [project, JSON.stringify(ways), JSON.stringify(values)];
  return [
    {
      // A report that is repaired after the erasure would write the key online again.
      ...{ what: 'online_reports', from: 'online_reports', values: [project, entity, text] },
      where: `project = $1 AND view IN ${viewsOfEntity} AND (EXISTS (SELECT FROM jsonb_array_elements(report -> 'differences') AS d WHERE d -> 'key' = $3::text::jsonb)
        OR EXISTS (SELECT FROM jsonb_array_elements(coalesce(mending, '[]')) AS m WHERE m ->> 'key' = $3::text))`,
      set: `report = jsonb_set(report, '{differences}', (SELECT coalesce(jsonb_agg(d), '[]') FROM jsonb_array_elements(report -> 'differences') AS d WHERE d -> 'key' <> $3::text::jsonb)),
        mending = CASE WHEN mending IS NOT NULL THEN (SELECT coalesce(jsonb_agg(m), '[]') FROM jsonb_array_elements(mending) AS m WHERE m ->> 'key' <> $3::text) END`,
    },
    {
      ...{ what: 'inference_log', from: 'inference_log', values: json(tuples) },
      where: `project = $1 AND key IS NOT NULL AND ${jsonHolds('key')}`,
    },
    { what: 'labels', from: 'labels', where: `project = $1 AND ${jsonHolds('key')}`, values: json(tuples) },
    {
      ...{ what: 'samples', from: 'expectation_results', values: [...json(tuples), entity] },
      where: `project = $1 AND view IN ${viewsOfEntity.replace('$2', '$4')} AND EXISTS (SELECT FROM jsonb_array_elements(samples) AS s WHERE ${jsonHolds('s')})`,
      set: `samples = (SELECT coalesce(jsonb_agg(s), '[]') FROM jsonb_array_elements(samples) AS s WHERE NOT ${jsonHolds('s')})`,
    },
    ...placesBesideCommits(project, entity),
    {
      ...{ what: 'grid_keys', from: 'training_sets', values: [...json(tuples), entity] },
      where: `project = $1 AND manifest #>> '{spec,spine,keys,entity}' = $4 AND EXISTS (SELECT FROM ${gridRows} AS r WHERE ${jsonHolds('r')})`,
      set: `manifest = jsonb_set(manifest, '{spec,spine,keys,rows}', (SELECT coalesce(jsonb_agg(r), '[]') FROM ${gridRows} AS r WHERE NOT ${jsonHolds('r')}))`,
    },
  ];
}

/** A training set whose spine is a list of keys says them in its manifest. */
const gridRows = `jsonb_array_elements(coalesce(manifest #> '{spec,spine,keys,rows}', '[]'))`;

/**
 * What is kept of a view's commits beside their rows. Sentences about rows that broke an expectation name one as an example,
 * and statistics of rows whose files were collected cannot be counted anew: both go for every key.
 */
function placesBesideCommits(project: ProjectName, entity: string): Place[] {
  const ofViews = `c.project = $1 AND c.schema = 'features' AND c.name IN ${viewsOfEntity}`;
  return [
    {
      ...{ what: 'examples', from: 'commits c', values: [project, entity] },
      where: `${ofViews} AND (details -> 'expectations')::text LIKE '%, such as %'`,
      set: `details = jsonb_set(details, '{expectations}', (SELECT jsonb_agg(regexp_replace(said, ', such as .*$', '')) FROM jsonb_array_elements_text(details -> 'expectations') AS said))`,
    },
    {
      ...{ what: 'statistics', from: 'window_statistics', values: [project, entity] },
      where: `commit_id IN (SELECT c.id FROM commits c WHERE ${ofViews} AND NOT EXISTS (SELECT FROM files f WHERE f.commit_id = c.id AND f.deleted_at IS NULL))`,
    },
  ];
}

const viewsOfEntity = `(SELECT name FROM revisions r WHERE r.project = $1 AND r.kind = 'FeatureView' AND r.body ->> 'entity' = $2)`;

/** Deletes all of them, each kind in a transaction that also counts it: a repeat counts what it finds in addition. */
export async function eraseRecords(
  db: Database,
  project: ProjectName,
  erasure: string,
  key: ErasureKey,
  tuples: readonly (readonly string[])[],
): Promise<void> {
  await db.transaction(async (tx) => {
    await liftTimeout(tx);
    // A generation that is being built may have read the rows before: its publish plans another.
    await tx.query(
      `UPDATE online_generations SET status = 'dropped' WHERE project = $1 AND status = 'building' AND view IN ${viewsOfEntity}`,
      [project, key.entity],
    );
    // Of rows that may be the key's. Pushes of then are known by their ids from here on; those of the key since have none.
    await tx.query(`UPDATE pushes SET digest = NULL WHERE project = $1 AND digest IS NOT NULL AND view IN ${viewsOfEntity}`, [project, key.entity]); // prettier-ignore
    await tx.query('UPDATE idempotency_keys SET fingerprint = NULL WHERE project = $1 AND fingerprint IS NOT NULL', [project]); // prettier-ignore
  });
  await inPlaces(db, project, key, tuples, (tx, place) => erasePlace(tx, project, erasure, place));
}

async function erasePlace(
  tx: Queries,
  project: ProjectName,
  erasure: string,
  { what, from, where, values, set, also }: Place,
): Promise<void> {
  await requireOpen(tx, project, erasure);
  const change = set ? `UPDATE ${from} SET ${set} WHERE ${where}` : `DELETE FROM ${from} WHERE ${where}`;
  const { rows } = only(
    await tx.query<{ rows: number }>(`WITH gone AS (${change} RETURNING 1) SELECT count(*) AS rows FROM gone`, values),
  );
  if (also && rows > 0) await tx.query(also.sql, also.values);
  await tx.query(
    `INSERT INTO erased_rows (project, erasure, what, rows) VALUES ($1, $2, $3, $4)
     ON CONFLICT (project, erasure, what) DO UPDATE SET rows = erased_rows.rows + EXCLUDED.rows`,
    [project, erasure, what, rows],
  );
}

/** How many there are left, by what they are. */
export async function countRecords(
  db: Database,
  project: ProjectName,
  key: ErasureKey,
  tuples: readonly (readonly string[])[],
): Promise<Record<string, number>> {
  const left: Record<string, number> = {};
  await inPlaces(db, project, key, tuples, async (tx, { what, from, where, values }) => {
    const [row] = await tx.query<{ rows: number }>(`SELECT count(*) AS rows FROM ${from} WHERE ${where}`, values);
    if (row?.rows) left[what] = (left[what] ?? 0) + row.rows;
  });
  return left;
}

/** Whoever moves a view's pointer writes pushed rows into a generation: all of a view is done under its lock, as they do. */
async function inPlaces(
  db: Database,
  project: ProjectName,
  key: ErasureKey,
  tuples: readonly (readonly string[])[],
  work: (tx: Queries, place: Place) => Promise<void>,
): Promise<void> {
  const views = await db.query<{ view: string }>(
    `SELECT view FROM online_views WHERE project = $1 AND view IN ${viewsOfEntity} ORDER BY view`,
    [project, key.entity],
  );
  for (const { view } of views)
    await db.transaction(async (tx) => {
      await liftTimeout(tx);
      await lockOnlineView(tx, project, view);
      for (const place of await onlinePlaces(tx, project, view, key.text)) await work(tx, place);
    });
  for (const place of placesOf(project, key, tuples))
    await db.transaction(async (tx) => {
      await liftTimeout(tx);
      await work(tx, place);
    });
}
