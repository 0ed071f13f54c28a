import type { Window } from '../domain/features.js';
import type { ProjectName } from '../domain/ids.js';
import type { InferenceLogRow } from '../domain/serving.js';
import type { Queries } from './db.js';

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
