import type { Window } from '../domain/features.js';
import type { ProjectName } from '../domain/ids.js';
import type { Revision } from '../domain/resources.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { sourceFiles, sourceRelation } from '../lake/sources.js';
import { withSources } from '../lake/sql.js';
import { listLabels } from '../store/inference.js';
import { getResource } from '../store/resources.js';
import type { Dependencies } from './dependencies.js';

const uploadedMax = 1_000_000;

/**
 * Labels of a window of the spine as a relation: its keys, the label and when it was known. An uploaded label takes the
 * place of the source's, with its own known-at.
 */
export async function labelRelation(
  { db, roots }: Pick<Dependencies, 'db' | 'roots'>,
  session: Session,
  project: ProjectName,
  model: Revision<'Model'>,
  window: Window,
): Promise<string> {
  const { spine } = model.spec;
  const source = await getResource(db, project, 'Source', spine.source);
  const rows = withSources(spine.sql, [
    { name: source.name, relation: sourceRelation(source, await sourceFiles(source, roots), window) },
  ]);
  const eventTime = quoteName(spine.eventTime);
  const [label, knownAt] = [quoteName(spine.label), quoteName(spine.knownAt)];
  const keys = spine.key.map(quoteName);
  const own = `(SELECT ${keys.join(', ')}, ${label}, ${knownAt} FROM ${rows} WHERE ${eventTime} >= ${timestamp(window.start)} AND ${eventTime} < ${timestamp(window.end)})`;
  const uploaded = await listLabels(db, project, model.name, uploadedMax);
  if (uploaded.length === 0) return own;
  const text = `[${keys.map((key) => `${key}::VARCHAR`).join(', ')}]`;
  const values = uploaded.map(
    (one) =>
      `([${spine.key.map((key) => quoteText(String(one.key[key]))).join(', ')}], ${one.label}, ${timestamp(one.knownAt)})`,
  );
  await session.run(
    `CREATE OR REPLACE TEMP TABLE uploaded_labels AS SELECT * FROM (VALUES ${values.join(', ')}) AS u(row_key, label, known_at)`,
  );
  return `(SELECT ${keys.map((key) => `o.${key}`).join(', ')}, coalesce(u.label, o.${label}) AS ${label}, CASE WHEN u.label IS NULL THEN o.${knownAt} ELSE u.known_at END AS ${knownAt}
           FROM (SELECT *, ${text} AS row_key FROM ${own}) AS o LEFT JOIN uploaded_labels AS u USING (row_key))`;
}
