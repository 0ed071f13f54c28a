import type { Expectation, ExpectationResult } from '../domain/expectations.js';
import type { Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import type { Queries } from './db.js';
import type { TableRef } from './snapshots.js';

/** What one expectation said of a window when it was last computed. */
export interface JudgedWindow extends Window, Omit<ExpectationResult, 'expectation'> {
  readonly expectation: Expectation;
  readonly severity: Expectation['severity'];
  /** Null: the window was refused. */
  readonly commit: number | null;
  readonly workflowId: string;
  readonly judgedAt: string;
}

/** Replaces what was found in the window before; `commit` is null when it was refused. */
export async function recordExpectations(
  tx: Queries,
  table: TableRef,
  window: Window,
  results: readonly ExpectationResult[],
  { commit, workflowId }: { commit: number | null; workflowId: string },
): Promise<void> {
  if (results.length === 0) return;
  const rows = results.map(({ expectation, ...result }) => ({
    ...result,
    expectation,
    severity: expectation.severity,
  }));
  await tx.query(
    `INSERT INTO expectation_results (project, view, revision, window_start, window_end, commit_id, workflow_id, position, expectation, severity, passed, rows, failed, value, samples)
     SELECT $1, $2, $3, $4, $5, $6, $7, r.* FROM jsonb_to_recordset($8)
       AS r(position int, expectation jsonb, severity text, passed boolean, rows bigint, failed bigint, value double precision, samples jsonb)
     ON CONFLICT (project, view, revision, window_start, position) DO UPDATE SET
       (window_end, commit_id, workflow_id, expectation, severity, passed, rows, failed, value, samples, judged_at) =
       (EXCLUDED.window_end, EXCLUDED.commit_id, EXCLUDED.workflow_id, EXCLUDED.expectation, EXCLUDED.severity, EXCLUDED.passed, EXCLUDED.rows, EXCLUDED.failed, EXCLUDED.value, EXCLUDED.samples, now())`,
    [
      ...[table.project, table.name, table.revision, window.start, window.end, commit, workflowId],
      JSON.stringify(rows),
    ],
  );
}

export interface ExpectationFilter {
  readonly start?: Instant;
  readonly end?: Instant;
  /** Only those that were not met. */
  readonly failed?: boolean;
  readonly limit: number;
  /** The window and place that the page before ended with. */
  readonly after?: readonly [start: Instant, position: number];
}

/** In order of windows, and within one in the order of the view's list. */
export async function listExpectations(
  db: Queries,
  { project, name, revision }: TableRef,
  { start, end, failed = false, limit, after }: ExpectationFilter,
): Promise<JudgedWindow[]> {
  return db.query<JudgedWindow>(
    `SELECT window_start AS start, window_end AS "end", position, expectation, severity, passed, rows, failed, value, samples, commit_id AS commit, workflow_id AS "workflowId", judged_at AS "judgedAt"
     FROM expectation_results WHERE project = $1 AND view = $2 AND revision = $3
       AND ($4::timestamptz IS NULL OR window_end > $4) AND ($5::timestamptz IS NULL OR window_start < $5) AND (NOT $6 OR NOT passed)
       AND ($7::timestamptz IS NULL OR (window_start, position) > ($7, $8::int))
     ORDER BY window_start, position LIMIT $9`,
    [project, name, revision, start ?? null, end ?? null, failed, after?.[0] ?? null, after?.[1] ?? null, limit],
  );
}
