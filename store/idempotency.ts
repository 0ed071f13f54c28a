import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import type { Database } from './db.js';

export interface RecordedAnswer {
  readonly status: number;
  readonly response: unknown;
}

/** After this long an unanswered request is taken for dead, and a repeat may run: effects have business keys of their own. */
const claimSeconds = 15;

/** Claims the key; an answered repeat gets the recorded answer, another request under the key is refused. */
export async function claimKey(
  db: Database,
  project: ProjectName,
  key: string,
  fingerprint: string,
): Promise<RecordedAnswer | null> {
  const claimed = await db.transaction(async (tx) => {
    const inserted = await tx.query(
      'INSERT INTO idempotency_keys (project, key, fingerprint) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING RETURNING 1',
      [project, key, fingerprint],
    );
    if (inserted.length > 0) return null;
    const [row] = await tx.query<{ fingerprint: string; status: number | null; response: unknown; stale: boolean }>(
      'SELECT fingerprint, status, response, created_at < now() - make_interval(secs => $3) AS stale FROM idempotency_keys WHERE project = $1 AND key = $2 FOR UPDATE',
      [project, key, claimSeconds],
    );
    // The first request failed and gave the key back in between.
    if (!row) return 'released';
    if (row.fingerprint !== fingerprint)
      throw new DomainError('idempotency_key_reused', 'This Idempotency-Key belongs to another request.', { key });
    if (row.status !== null) return { status: row.status, response: row.response };
    if (!row.stale)
      throw new DomainError('idempotency_key_running', 'The first request with this key has not been answered yet.', {
        key,
      });
    await tx.query('UPDATE idempotency_keys SET created_at = now() WHERE project = $1 AND key = $2', [project, key]);
    return null;
  });
  return claimed === 'released' ? claimKey(db, project, key, fingerprint) : claimed;
}

export async function recordAnswer(
  db: Database,
  project: ProjectName,
  key: string,
  answer: RecordedAnswer,
): Promise<void> {
  await db.query('UPDATE idempotency_keys SET status = $3, response = $4 WHERE project = $1 AND key = $2', [
    project,
    key,
    answer.status,
    JSON.stringify(answer.response ?? null),
  ]);
}

/** A failed request may be repeated under its key. */
export async function releaseKey(db: Database, project: ProjectName, key: string): Promise<void> {
  await db.query('DELETE FROM idempotency_keys WHERE project = $1 AND key = $2 AND status IS NULL', [project, key]);
}
