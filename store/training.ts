import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName, RunId } from '../domain/ids.js';
import type { Signature } from '../domain/serving.js';
import { runIdOf, type Progress, type RunKey, type RunStatus, type Trigger } from '../domain/training.js';
import type { Principal } from '../domain/principal.js';
import { only, recordAudit, recordLineage, type Database, type Queries } from './db.js';

export interface Run extends RunKey {
  readonly id: RunId;
  readonly trigger: Trigger;
  readonly status: RunStatus;
  readonly fence: number;
  readonly trainingSet: string | null;
  readonly trainer: object | null;
  readonly progress: Progress | null;
  readonly metrics: object | null;
  readonly modelKey: string | null;
  readonly modelSha256: string | null;
  readonly signature: Signature | null;
  readonly golden: Golden | null;
  readonly logKey: string | null;
  readonly error: { readonly code: string; readonly detail: string } | null;
  readonly workflowId: string;
  readonly startedAt: Instant;
  readonly endedAt: Instant | null;
  readonly durationMs: number | null;
  readonly principal: string;
}

export interface Golden {
  readonly inputs: readonly (readonly (number | null)[])[];
  readonly predictions: readonly number[];
}

const runColumns = `project, id, model, model_revision AS revision, as_of AS "asOf", trigger, status, fence, training_set AS "trainingSet", trainer, progress, metrics,
  model_key AS "modelKey", model_sha256 AS "modelSha256", signature, golden, log_key AS "logKey", error, workflow_id AS "workflowId", started_at AS "startedAt",
  ended_at AS "endedAt", duration_ms AS "durationMs", principal`;

/** The run of this key: a finished one is answered as it is, a failed or cancelled one begins anew. */
export async function openRun(
  db: Database,
  key: RunKey,
  trigger: Trigger,
  workflowId: string,
  principal: Principal,
): Promise<Run> {
  const id = runIdOf(key);
  return db.transaction(async (tx) => {
    const rows = await tx.query<Run>(
      `INSERT INTO runs (project, id, model, model_revision, as_of, trigger, status, workflow_id, principal) VALUES ($1,$2,$3,$4,$5,$6,'running',$7,$8)
       ON CONFLICT (project, id) DO UPDATE SET
         status = CASE WHEN runs.status = 'finished' THEN 'finished' ELSE 'running' END,
         error = CASE WHEN runs.status = 'finished' THEN runs.error END,
         ended_at = CASE WHEN runs.status = 'finished' THEN runs.ended_at END
       RETURNING ${runColumns}`,
      [key.project, id, key.model, key.revision, key.asOf, JSON.stringify(trigger), workflowId, principal.name],
    );
    return only(rows);
  });
}

/** The next fencing number of the run: writes of older attempts are refused from here on. */
export async function claimRun(db: Queries, project: ProjectName, id: RunId): Promise<number> {
  const rows = await db.query<{ fence: number }>(
    'UPDATE runs SET fence = fence + 1 WHERE project = $1 AND id = $2 RETURNING fence',
    [project, id],
  );
  return only(rows).fence;
}

export async function recordRunTrainingSet(
  db: Queries,
  project: ProjectName,
  id: RunId,
  trainingSet: string,
): Promise<void> {
  await db.query('UPDATE runs SET training_set = $3 WHERE project = $1 AND id = $2', [project, id, trainingSet]);
}

/** Progress is for people: an older attempt's is dropped in silence. */
export async function recordProgress(
  db: Queries,
  project: ProjectName,
  id: RunId,
  fence: number,
  progress: Progress,
): Promise<void> {
  await db.query("UPDATE runs SET progress = $4 WHERE project = $1 AND id = $2 AND fence = $3 AND status = 'running'", [
    project,
    id,
    fence,
    JSON.stringify(progress),
  ]);
}

export interface TrainedModel {
  readonly metrics: object;
  readonly modelKey: string;
  readonly modelSha256: string;
  readonly signature: Signature;
  readonly golden: Golden;
  readonly logKey: string;
  readonly trainer: object;
  readonly durationMs: number;
}

/** Records the one result of the run; throws `fence_superseded` when a newer attempt has taken over or the run has ended. */
export async function recordTrained(
  db: Database,
  project: ProjectName,
  id: RunId,
  fence: number,
  trained: TrainedModel,
  principal: Principal,
): Promise<void> {
  await db.transaction(async (tx) => {
    const rows = await tx.query<{ trainingSet: string }>(
      `UPDATE runs SET metrics = $4, model_key = $5, model_sha256 = $6, signature = $7, golden = $8, log_key = $9, trainer = $10, duration_ms = $11, status = 'finished', ended_at = now()
       WHERE project = $1 AND id = $2 AND fence = $3 AND status = 'running' RETURNING training_set AS "trainingSet"`,
      [
        project,
        id,
        fence,
        JSON.stringify(trained.metrics),
        trained.modelKey,
        trained.modelSha256,
        JSON.stringify(trained.signature),
        JSON.stringify(trained.golden),
        trained.logKey,
        JSON.stringify(trained.trainer),
        trained.durationMs,
      ],
    );
    if (rows.length === 0)
      throw new DomainError(
        'fence_superseded',
        `Attempt ${fence} of run ${id} is not the newest, or the run has ended.`,
        { run: id, fence },
      );
    await recordLineage(tx, project, [{ from: ['training_set', only(rows).trainingSet], to: ['run', id] }]);
    await recordAudit(tx, project, principal, 'finished run', id, { model: trained.modelSha256 });
  });
}

/** Where the attempt's log is kept; an older attempt's is not shown. */
export async function recordRunLog(
  db: Queries,
  project: ProjectName,
  id: RunId,
  fence: number,
  logKey: string,
): Promise<void> {
  await db.query('UPDATE runs SET log_key = $4 WHERE project = $1 AND id = $2 AND fence = $3', [
    project,
    id,
    fence,
    logKey,
  ]);
}

export async function endRun(
  db: Queries,
  project: ProjectName,
  id: RunId,
  status: 'failed' | 'cancelled',
  error: { code: string; detail: string },
): Promise<void> {
  await db.query(
    "UPDATE runs SET status = $3, error = $4, ended_at = now() WHERE project = $1 AND id = $2 AND status = 'running'",
    [project, id, status, JSON.stringify(error)],
  );
}

/** Running runs of all projects that began more than a minute ago, for whoever looks after the unfinished. */
export async function runningRuns(db: Queries): Promise<{ project: ProjectName; id: RunId; workflowId: string }[]> {
  return db.query(
    `SELECT project, id, workflow_id AS "workflowId" FROM runs WHERE status = 'running' AND started_at < now() - interval '1 minute' ORDER BY started_at LIMIT 1000`,
  );
}

export async function getRun(db: Queries, project: ProjectName, id: RunId): Promise<Run> {
  const rows = await db.query<Run>(`SELECT ${runColumns} FROM runs WHERE project = $1 AND id = $2`, [project, id]);
  const run = rows[0];
  if (!run) throw new DomainError('run_unknown', `There is no run ${id} in project "${project}".`, { run: id });
  return run;
}

/** The run that a training workflow opened; null before it did, and for every other workflow. */
export async function findRunOfWorkflow(db: Queries, project: ProjectName, workflowId: string): Promise<Run | null> {
  const rows = await db.query<Run>(`SELECT ${runColumns} FROM runs WHERE project = $1 AND workflow_id = $2`, [
    project,
    workflowId,
  ]);
  return rows[0] ?? null;
}

export async function listRuns(
  db: Queries,
  project: ProjectName,
  { model, limit, after }: { model?: string; limit: number; after?: string },
): Promise<Run[]> {
  return db.query<Run>(
    `SELECT ${runColumns} FROM runs WHERE project = $1 AND ($2::text IS NULL OR model = $2) AND ($4::text IS NULL OR (as_of, id) > (SELECT as_of, id FROM runs WHERE project = $1 AND id = $4)) ORDER BY as_of, id LIMIT $3`,
    [project, model ?? null, limit, after ?? null],
  );
}
