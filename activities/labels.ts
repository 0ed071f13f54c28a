import type { DatasetSpec, LabelSource, PinnedLabels } from '../domain/datasets.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Revision } from '../domain/resources.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import { describe, pinSource } from '../lake/sources/index.js';
import { withSources } from '../lake/sql.js';
import { labelsAsOf, newestLabel, type UploadedLabel } from '../store/labels.js';
import { getResource } from '../store/resources.js';
import type { Dependencies } from './dependencies.js';

/** Labels of a window of the spine as of an instant, as a relation: its keys, the label and when it was known. */
export async function labelRelation(
  { db, access }: Pick<Dependencies, 'db' | 'access'>,
  session: Session,
  project: ProjectName,
  { name: model, spec: { spine } }: Revision<'Model'>,
  window: Window,
  asOf: Instant,
): Promise<string> {
  const source = await getResource(db, project, 'Source', spine.source);
  const pinned = await pinSource(session, source, access, window);
  const rows = withSources(spine.sql, [{ name: source.name, relation: pinned.relation(window) }]);
  const eventTime = quoteName(spine.eventTime);
  const columns = [...spine.key, spine.label, spine.knownAt].map(quoteName).join(', ');
  const within = `${eventTime} >= ${timestamp(window.start)} AND ${eventTime} < ${timestamp(window.end)}`;
  const own = `(SELECT ${columns} FROM ${rows} WHERE ${within})`;
  const { label, knownAt, key } = spine;
  const labels = { of: { model }, key, label, type: 'BOOLEAN', knownAt };
  return (await withUploads({ db }, session, project, labels, own, { asOf })).relation;
}

interface UploadedLabels {
  readonly of: LabelSource;
  readonly key: readonly string[];
  readonly label: string;
  readonly type: string;
  /** The column of the rows that says when a label could be known, if they have one. */
  readonly knownAt: string | null;
}

/**
 * Rows of a spine, with uploaded labels in the place of their own. An upload holds from its known-at on: of those known by
 * then the newest counts, and before the first the spine's own label does.
 */
async function withUploads(
  { db }: Pick<Dependencies, 'db'>,
  session: Session,
  project: ProjectName,
  { of, key, label, type, knownAt }: UploadedLabels,
  rows: string,
  until: { readonly asOf: Instant | null; readonly upTo?: number },
): Promise<{ readonly relation: string; readonly used: string | null }> {
  const uploaded = await labelsAsOf(db, project, of, until);
  if (uploaded.length === 0) return { relation: rows, used: null };
  const columns = await describe(session, rows);
  const keys = key.map((name) => columns.find((column) => column.name === name) ?? { name, type: 'VARCHAR' });
  await loadUploads(session, uploaded, keys, type);
  const same = key.map((name, index) => `u.k${index} = o.${quoteName(name)}`).join(' AND ');
  const replaced = [
    `CASE WHEN u.k0 IS NULL THEN o.${quoteName(label)} ELSE u.label END AS ${quoteName(label)}`,
    ...(knownAt === null ? [] : [`coalesce(u.known_at, o.${quoteName(knownAt)}) AS ${quoteName(knownAt)}`]),
  ];
  return {
    relation: `(SELECT o.* REPLACE (${replaced.join(', ')}) FROM ${rows} AS o LEFT JOIN uploaded_labels AS u ON ${same})`,
    used: `(SELECT 1 FROM ${rows} AS o SEMI JOIN uploaded_labels AS u ON ${same})`,
  };
}

const labelsAtOnce = 10_000;

/**
 * Uploads in the types of the columns that they belong to, as a table of the session. Keys that were written differently and
 * are one value have one row, with the newest label; what is no value of the column's type belongs to no row.
 */
async function loadUploads(
  session: Session,
  uploaded: readonly UploadedLabel[],
  keys: readonly Column[],
  type: string,
): Promise<void> {
  const form = '[{"key": ["VARCHAR"], "label": "VARCHAR", "known_at": "TIMESTAMP", "id": "BIGINT"}]';
  const textOf = (value: string | number | undefined) => (value === undefined ? null : String(value));
  await session.run(
    'CREATE OR REPLACE TEMP TABLE uploaded_texts (key VARCHAR[], label VARCHAR, known_at TIMESTAMP, id BIGINT)',
  );
  for (let first = 0; first < uploaded.length; first += labelsAtOnce) {
    const texts = uploaded.slice(first, first + labelsAtOnce).map(({ key, label, knownAt, id }) => ({
      key: keys.map(({ name }) => textOf(key[name])),
      ...{ label: String(label), known_at: knownAt, id },
    }));
    await session.run(
      `INSERT INTO uploaded_texts SELECT l.key, l.label, l.known_at, l.id FROM (SELECT unnest(from_json($texts, '${form}')) AS l)`,
      { texts: JSON.stringify(texts) },
    );
  }
  const names = keys.map((_, index) => `k${index}`);
  const values = keys.map((column, index) => `${valueOf(`key[${index + 1}]`, column)} AS k${index}`);
  await session.run(
    `CREATE OR REPLACE TEMP TABLE uploaded_labels AS SELECT * FROM (SELECT ${values.join(', ')}, label::${type} AS label, known_at, id FROM uploaded_texts)
     WHERE ${names.map((name) => `${name} IS NOT NULL`).join(' AND ')}
     QUALIFY row_number() OVER (PARTITION BY ${names.join(', ')} ORDER BY known_at DESC, id DESC) = 1`,
  );
}

/** The text as a value of the column's type, NULL when it is none. A number is not rounded to one, an instant without a zone is UTC. */
function valueOf(text: string, { type }: Column): string {
  const value = `TRY_CAST(${text} AS ${type})`;
  if (/INT|DECIMAL/.test(type)) return `CASE WHEN ${value} = TRY_CAST(${text} AS DOUBLE) THEN ${value} END`;
  if (/^(DATE|TIMESTAMP(_\w+)?)$/.test(type))
    return `TRY_CAST(TRY_CAST(${text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS ${type})`;
  return value;
}

/**
 * The spine with the labels that were known by the as-of instant: its own, and what was uploaded since. Says which uploads
 * were looked at, so that the same can be taken again.
 */
export async function withLabels(
  dependencies: Pick<Dependencies, 'db'>,
  session: Session,
  project: ProjectName,
  spec: DatasetSpec,
  rows: string,
  pinned?: PinnedLabels | null,
): Promise<{ readonly relation: string; readonly labels: PinnedLabels | null }> {
  const { label, key, asOf = null } = spec;
  if (label === undefined) return { relation: rows, labels: null };
  const columns = await describe(session, rows);
  const type = columns.find(({ name }) => name === label.column)?.type;
  const column = quoteName(label.column);
  const own =
    type === undefined
      ? `(SELECT *, NULL::${label.type} AS ${column} FROM ${rows})`
      : asOf === null || label.knownAt === undefined
        ? rows
        : `(SELECT * REPLACE (CASE WHEN ${quoteName(label.knownAt)} <= ${timestamp(asOf)} THEN ${column} END AS ${column}) FROM ${rows})`;
  const known = (relation: string) => (label.unknown === 'keep' ? relation : `(SELECT * FROM ${relation} WHERE ${column} IS NOT NULL)`); // prettier-ignore
  if (key === undefined) return { relation: known(own), labels: null };
  const of = label.uploads ?? { dataset: spec.name };
  const upTo = pinned?.upTo ?? (await newestLabel(dependencies.db, project, of));
  const asked = { of, key, label: label.column, type: type ?? label.type, knownAt: label.knownAt ?? null };
  const { relation, used } = await withUploads(dependencies, session, project, asked, own, { asOf, upTo });
  const [count] =
    used === null ? [] : await session.rows<{ rows: number }>(`SELECT count(*)::DOUBLE AS rows FROM ${used}`);
  return { relation: known(relation), labels: { upTo, used: count?.rows ?? 0 } };
}
