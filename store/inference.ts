import { DomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { InferenceLogRow } from '../domain/serving.js';
import type { Principal } from '../domain/principal.js';
import { recordAudit, type Database, type Queries } from './db.js';

export type LogPosition = Pick<InferenceLogRow, 'eventTime' | 'requestId' | 'rowIndex'>;

/** Online requests of an endpoint in a window of event time, oldest first, after a row that was read before. */
export async function readInferenceLog(
  db: Queries,
  project: ProjectName,
  endpoint: string,
  window: Window,
  limit: number,
  after?: LogPosition,
): Promise<InferenceLogRow[]> {
  return db.query<InferenceLogRow>(
    `SELECT project, endpoint, version, request_id AS "requestId", row_index AS "rowIndex", event_time AS "eventTime", logged_at AS "loggedAt", inputs, output, key
     FROM inference_log WHERE project = $1 AND endpoint = $2 AND event_time >= $3 AND event_time < $4
       AND ($6::timestamptz IS NULL OR (event_time, request_id, row_index) > ($6, $7::text, $8::int))
     ORDER BY event_time, request_id, row_index LIMIT $5`,
    [
      ...[project, endpoint, window.start, window.end, limit],
      ...[after?.eventTime ?? null, after?.requestId ?? null, after?.rowIndex ?? null],
    ],
  );
}

export interface Label {
  readonly key: Readonly<Record<string, string | number>>;
  readonly label: boolean;
  readonly knownAt: Instant;
}

/** Each label holds from its known-at on, until a newer one's. Another upload for the same key and known-at takes its place. */
export async function putLabels(
  db: Database,
  project: ProjectName,
  model: string,
  labels: readonly Label[],
  principal: Principal,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query(
      `INSERT INTO labels (project, model, key, label, known_at, principal)
       SELECT DISTINCT ON (key, "knownAt") $1, $2, key, label, "knownAt", $4
       FROM jsonb_to_recordset($3) AS l(key jsonb, label boolean, "knownAt" timestamptz, at int) ORDER BY key, "knownAt", at DESC
       ON CONFLICT (project, model, key, known_at) DO UPDATE SET label = excluded.label, principal = excluded.principal`,
      [project, model, JSON.stringify(labels.map((label, at) => ({ ...label, at }))), principal.name],
    );
    await recordAudit(tx, project, principal, 'uploaded labels', `Model/${model}`, { rows: labels.length });
  });
}

/** More would not fit a step's memory. */
const labelsMax = 1_000_000;

/** Of each key the newest label that was known by then. Throws `request_too_large` when they are too many. */
export async function labelsAsOf(
  db: Queries,
  project: ProjectName,
  model: string,
  asOf: Instant,
  limit = labelsMax,
): Promise<Label[]> {
  const labels = await db.query<Label>(
    `SELECT DISTINCT ON (key) key, label, known_at AS "knownAt" FROM labels WHERE project = $1 AND model = $2 AND known_at <= $3
     ORDER BY key, known_at DESC LIMIT $4`,
    [project, model, asOf, limit + 1],
  );
  if (labels.length <= limit) return labels;
  const message = `Model "${model}" has more than ${limit} uploaded labels that are known by ${asOf}.`;
  throw new DomainError('request_too_large', message, { model, limit });
}
