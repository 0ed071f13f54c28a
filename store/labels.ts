import type { LabelSource } from '../domain/datasets.js';
import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Principal } from '../domain/principal.js';
import { only, recordAudit, type Database, type Queries } from './db.js';

/** The truth about a row, by its key. */
export interface Label {
  readonly key: Readonly<Record<string, string | number>>;
  readonly label: boolean | number | string;
  readonly knownAt: Instant;
}

export interface UploadedLabel extends Label {
  /** Of two uploads the later one has the greater. */
  readonly id: number;
}

/** The column that says whose labels they are, and its value. */
const ownerOf = (of: LabelSource): readonly ['model' | 'dataset', string] =>
  'model' in of ? ['model', of.model] : ['dataset', of.dataset];

/**
 * Each label holds from its known-at on, until a newer one's; another upload for the same key and known-at takes its place.
 * Nothing is overwritten: whoever remembers a number of an upload sees again what there was.
 */
export async function putLabels(
  db: Database,
  project: ProjectName,
  of: LabelSource,
  labels: readonly Label[],
  principal: Principal,
): Promise<void> {
  const [column, owner] = ownerOf(of);
  await db.transaction(async (tx) => {
    // One upload after the other: a number that is visible is greater than all that were visible before.
    await tx.query('LOCK TABLE labels IN SHARE ROW EXCLUSIVE MODE');
    await tx.query(
      `WITH given AS (
         SELECT DISTINCT ON (key, "knownAt") key, label, "knownAt"
         FROM jsonb_to_recordset($3) AS l(key jsonb, label jsonb, "knownAt" timestamptz, at int) ORDER BY key, "knownAt", at DESC
       )
       INSERT INTO labels (project, ${column}, key, label, known_at, principal)
       SELECT $1, $2, g.key, g.label, g."knownAt", $4 FROM given g
       WHERE g.label IS DISTINCT FROM (
         SELECT label FROM labels k WHERE k.project = $1 AND k.${column} = $2 AND k.key = g.key AND k.known_at = g."knownAt" ORDER BY id DESC LIMIT 1)`,
      [project, owner, JSON.stringify(labels.map((label, at) => ({ ...label, at }))), principal.name],
    );
    const subject = `${column === 'model' ? 'Model' : 'training_set'}/${owner}`;
    await recordAudit(tx, project, principal, 'uploaded labels', subject, { rows: labels.length });
  });
}

/** More would not fit a step's memory. */
const labelsMax = 1_000_000;

/**
 * Of each key the newest label that was known by then (null: ever), among the uploads up to a number. Throws
 * `request_too_large` when they are too many.
 */
export async function labelsAsOf(
  db: Queries,
  project: ProjectName,
  of: LabelSource,
  { asOf, upTo }: { readonly asOf: Instant | null; readonly upTo?: number },
  limit = labelsMax,
): Promise<UploadedLabel[]> {
  const [column, owner] = ownerOf(of);
  const labels = await db.query<UploadedLabel>(
    `SELECT DISTINCT ON (key) id, key, label, known_at AS "knownAt" FROM labels
     WHERE project = $1 AND ${column} = $2 AND ($3::timestamptz IS NULL OR known_at <= $3) AND ($5::bigint IS NULL OR id <= $5)
     ORDER BY key, known_at DESC, id DESC LIMIT $4`,
    [project, owner, asOf, limit + 1, upTo ?? null],
  );
  if (labels.length <= limit) return labels;
  const message = `The ${column} "${owner}" has more than ${limit} uploaded labels${asOf ? ` that are known by ${asOf}` : ''}.`;
  throw new DomainError('request_too_large', message, { [column]: owner, limit });
}

/** The number of the newest upload; 0 before the first. */
export async function newestLabel(db: Queries, project: ProjectName, of: LabelSource): Promise<number> {
  const [column, owner] = ownerOf(of);
  const rows = await db.query<{ newest: number }>(
    `SELECT coalesce(max(id), 0) AS newest FROM labels WHERE project = $1 AND ${column} = $2`,
    [project, owner],
  );
  return only(rows).newest;
}
