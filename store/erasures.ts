import type { Instant, ProjectName } from '../domain/ids.js';
import type { Queries } from './db.js';

/** What an erasure took from a training set, so that whoever verifies it knows that the difference is no damage. */
export interface TrainingSetErasure {
  readonly erasure: string;
  readonly erasedAt: Instant;
  readonly entity: string;
  readonly reason: string;
  /** Rows of the set itself; 0 when only snapshots that it pins lost rows, so that it cannot be made again as it was. */
  readonly rows: number;
  /** Pinned snapshots that lost rows, as `features/VIEW@r1@s41`. */
  readonly snapshots: readonly string[];
}

/** The erasures that reached a training set or what it was made from, oldest first; empty for almost every one. */
export async function erasuresOf(
  db: Queries,
  project: ProjectName,
  trainingSet: string,
): Promise<TrainingSetErasure[]> {
  return db.query<TrainingSetErasure>(
    `SELECT t.erasure, coalesce(e.ended_at, e.opened_at) AS "erasedAt", e.entity, e.reason, t.rows, t.snapshots
     FROM erased_training_sets t JOIN erasures e ON (e.project, e.id) = (t.project, t.erasure)
     WHERE t.project = $1 AND t.training_set = $2 ORDER BY e.opened_at, t.erasure`,
    [project, trainingSet],
  );
}
