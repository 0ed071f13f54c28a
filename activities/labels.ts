import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Revision } from '../domain/resources.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { sourceFiles, sourceRelation } from '../lake/sources.js';
import { withSources } from '../lake/sql.js';
import { labelsAsOf } from '../store/inference.js';
import { getResource } from '../store/resources.js';
import type { Dependencies } from './dependencies.js';

/** Labels of a window of the spine as of an instant, as a relation: its keys, the label and when it was known. */
export async function labelRelation(
  { db, access }: Pick<Dependencies, 'db' | 'access'>,
  session: Session,
  project: ProjectName,
  model: Revision<'Model'>,
  window: Window,
  asOf: Instant,
): Promise<string> {
  const { spine } = model.spec;
  const source = await getResource(db, project, 'Source', spine.source);
  const rows = withSources(spine.sql, [
    { name: source.name, relation: sourceRelation(source, await sourceFiles(source, access), window) },
  ]);
  const eventTime = quoteName(spine.eventTime);
  const columns = [...spine.key, spine.label, spine.knownAt].map(quoteName).join(', ');
  const within = `${eventTime} >= ${timestamp(window.start)} AND ${eventTime} < ${timestamp(window.end)}`;
  const own = `(SELECT ${columns} FROM ${rows} WHERE ${within})`;
  return withUploads({ db }, session, project, model, own, asOf);
}

/**
 * Rows of the spine, with uploaded labels in the place of their own. An upload holds from its known-at on: of those known by
 * then the newest counts, and before the first the source's label does.
 */
export async function withUploads(
  { db }: Pick<Dependencies, 'db'>,
  session: Session,
  project: ProjectName,
  { name, spec: { spine } }: Revision<'Model'>,
  rows: string,
  asOf: Instant,
): Promise<string> {
  const uploaded = await labelsAsOf(db, project, name, asOf);
  if (uploaded.length === 0) return rows;
  const values = uploaded.map(
    (one) =>
      `([${spine.key.map((key) => quoteText(String(one.key[key]))).join(', ')}], ${one.label}, ${timestamp(one.knownAt)})`,
  );
  await session.run(
    `CREATE OR REPLACE TEMP TABLE uploaded_labels AS SELECT * FROM (VALUES ${values.join(', ')}) AS u(row_key, label, known_at)`,
  );
  const [label, knownAt] = [quoteName(spine.label), quoteName(spine.knownAt)];
  const key = `[${spine.key.map((column) => `o.${quoteName(column)}::VARCHAR`).join(', ')}]`;
  return `(SELECT o.* REPLACE (coalesce(u.label, o.${label}) AS ${label}, coalesce(u.known_at, o.${knownAt}) AS ${knownAt})
           FROM ${rows} AS o LEFT JOIN uploaded_labels AS u ON u.row_key = ${key})`;
}
