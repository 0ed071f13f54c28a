import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import type { Database, Queries } from './db.js';
import { keyedDigest } from './tombstones.js';

export interface RecordedAnswer {
  readonly status: number;
  readonly response: unknown;
}

/** The right to work under a key. It is lost to a repeat when it is not kept. */
export interface KeyClaim {
  readonly project: ProjectName;
  readonly key: string;
  readonly token: string;
}

/**
 * A claim that was neither kept nor answered for this long belongs to a request that died, and a repeat may take it over;
 * effects have business keys of their own.
 */
const claimSeconds = 15;
/** How often a request that works says that it lives: twice may fail. */
export const keepClaimEveryMs = 5_000;

/** Claims the key; an answered repeat gets the recorded answer, another request under the key is refused. */
export async function claimKey(
  db: Database,
  project: ProjectName,
  key: string,
  request: unknown,
): Promise<KeyClaim | RecordedAnswer> {
  const claimed = await db.transaction(async (tx) => {
    const fingerprint = await keyedDigest(tx, 'idempotency_keys', request);
    const [inserted] = await tx.query<{ token: string }>(
      'INSERT INTO idempotency_keys (project, key, fingerprint) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING RETURNING claim AS token',
      [project, key, fingerprint],
    );
    if (inserted) return { project, key, ...inserted };
    const [row] = await tx.query<{
      fingerprint: string | null;
      status: number | null;
      response: unknown;
      stale: boolean;
    }>(
      'SELECT fingerprint, status, response, claimed_at < now() - make_interval(secs => $3) AS stale FROM idempotency_keys WHERE project = $1 AND key = $2 FOR UPDATE',
      [project, key, claimSeconds],
    );
    // The first request failed and gave the key back in between.
    if (!row) return 'released';
    // None since a key was erased: it may have been in the request.
    if (row.fingerprint !== null && row.fingerprint !== fingerprint)
      throw new DomainError('idempotency_key_reused', 'This Idempotency-Key belongs to another request.', { key });
    if (row.status !== null) return { status: row.status, response: row.response };
    if (!row.stale)
      throw new DomainError('idempotency_key_running', 'The first request with this key has not been answered yet.', {
        key,
      });
    const [taken] = await tx.query<{ token: string }>(
      'UPDATE idempotency_keys SET claimed_at = now(), claim = gen_random_uuid() WHERE project = $1 AND key = $2 RETURNING claim AS token',
      [project, key],
    );
    return { project, key, token: taken?.token ?? '' };
  });
  return claimed === 'released' ? claimKey(db, project, key, request) : claimed;
}

const claimWhere = 'project = $1 AND key = $2 AND claim = $3 AND status IS NULL';
const claimValues = ({ project, key, token }: KeyClaim) => [project, key, token];

/** Says that the request lives. Does nothing for a claim that was taken over. */
export async function keepClaim(db: Database, claim: KeyClaim): Promise<void> {
  await db.query(`UPDATE idempotency_keys SET claimed_at = now() WHERE ${claimWhere}`, claimValues(claim));
}

/** Does nothing for a claim that was taken over: the answer is that of the request that took it. */
export async function recordAnswer(db: Database, claim: KeyClaim, answer: RecordedAnswer): Promise<void> {
  await db.query(`UPDATE idempotency_keys SET status = $4, response = $5 WHERE ${claimWhere}`, [
    ...claimValues(claim),
    answer.status,
    JSON.stringify(answer.response ?? null),
  ]);
}

/** A failed request may be repeated under its key. Does nothing for a claim that was taken over. */
export async function releaseKey(db: Database, claim: KeyClaim): Promise<void> {
  await db.query(`DELETE FROM idempotency_keys WHERE ${claimWhere}`, claimValues(claim));
}

/** Forgets keys that are older than this, a few at a time: a repeat would be a request of its own. Returns how many went. */
export async function forgetKeys(db: Queries, olderThanMicros: number): Promise<number> {
  const old = "< now() - $1::double precision * interval '1 microsecond'";
  const gone = await db.query(
    `DELETE FROM idempotency_keys WHERE (project, key) IN (
       SELECT project, key FROM idempotency_keys WHERE created_at ${old} AND claimed_at ${old} ORDER BY created_at LIMIT ${forgottenMax}) RETURNING 1`,
    [olderThanMicros],
  );
  return gone.length;
}
const forgottenMax = 10_000;
