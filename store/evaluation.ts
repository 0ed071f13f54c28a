import type { Evaluated, Verdict } from '../domain/evaluation.js';
import type { Instant, ProjectName, RunId } from '../domain/ids.js';
import type { Principal } from '../domain/principal.js';
import { only, type Queries } from './db.js';

export interface Evaluation extends Verdict {
  readonly run: RunId;
  readonly champion: number | null;
  readonly candidateMetrics: Evaluated;
  readonly championMetrics: Evaluated | null;
  readonly inputsDigest: string;
  readonly createdAt: Instant;
}

const evaluationColumns = `run_id AS run, champion, candidate_metrics AS "candidateMetrics", champion_metrics AS "championMetrics", verdict, reasons, inputs_digest AS "inputsDigest", created_at AS "createdAt"`;

/** One verdict a run: the first one recorded is the one. */
export async function recordEvaluation(
  db: Queries,
  project: ProjectName,
  evaluation: Omit<Evaluation, 'createdAt'>,
  principal: Principal,
): Promise<Evaluation> {
  const { run, champion, candidateMetrics, championMetrics, verdict, reasons, inputsDigest } = evaluation;
  await db.query(
    `INSERT INTO evaluations (project, run_id, champion, candidate_metrics, champion_metrics, verdict, reasons, inputs_digest, principal)
     VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) ON CONFLICT DO NOTHING`,
    [
      project,
      run,
      champion,
      JSON.stringify(candidateMetrics),
      championMetrics && JSON.stringify(championMetrics),
      verdict,
      JSON.stringify(reasons),
      inputsDigest,
      principal.name,
    ],
  );
  return only(
    await db.query<Evaluation>(`SELECT ${evaluationColumns} FROM evaluations WHERE project = $1 AND run_id = $2`, [
      project,
      run,
    ]),
  );
}

export async function findEvaluation(db: Queries, project: ProjectName, run: RunId): Promise<Evaluation | null> {
  const rows = await db.query<Evaluation>(
    `SELECT ${evaluationColumns} FROM evaluations WHERE project = $1 AND run_id = $2`,
    [project, run],
  );
  return rows[0] ?? null;
}
