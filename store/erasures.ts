import { randomUUID } from 'node:crypto';
import { DomainError } from '../domain/errors.js';
import { keyDigest } from '../domain/erasure.js';
import type { Column } from '../domain/features.js';
import { workflowIds, type Instant, type ProjectName } from '../domain/ids.js';
import type { KeyValues } from '../domain/online.js';
import { keyText } from '../domain/online-values.js';
import type { Principal } from '../domain/principal.js';
import type { ErasureRow, SignedCertificate } from '../domain/snapshots.js';
import { only, recordAudit, type Database, type Queries } from './db.js';
import { keySecret, liftTombstone, setTombstone } from './tombstones.js';

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

/** The key of an open erasure; the only place that holds it, until the erasure has ended. */
export interface ErasureKey {
  readonly entity: string;
  readonly keys: readonly Column[];
  /** As texts that DuckDB and PostgreSQL cast to the columns' types. */
  readonly values: readonly string[];
  /** As the online store writes it. */
  readonly text: string;
}

export interface NewErasure {
  readonly project: ProjectName;
  readonly entity: string;
  readonly keys: readonly Column[];
  readonly values: KeyValues;
  readonly reason: string;
}

/**
 * Opens the erasure of a key, or finds the one that is open. Its tombstone is set at once: from here on nothing is
 * materialized or pushed under the key, and what was computed before is refused at its commit.
 */
export async function openErasure(
  db: Database,
  { project, entity, keys, values, reason }: NewErasure,
  principal: Principal,
): Promise<ErasureRow> {
  const text = keyText(keys, values);
  if (text === null)
    throw new DomainError('request_invalid', 'Every value of the key must be given.', {
      keys: keys.map((one) => one.name),
    });
  return db.transaction(async (tx) => {
    const digest = keyDigest(await keySecret(tx), { project, entity }, text);
    const id = randomUUID();
    const key: ErasureKey = { entity, keys, values: values.map(String), text };
    const [made] = await tx.query(
      `INSERT INTO erasures (project, id, entity, key, key_digest, reason, status, workflow_id, principal) VALUES ($1,$2,$3,$4,$5,$6,'open',$7,$8)
       ON CONFLICT (project, entity, key_digest) WHERE status = 'open' DO NOTHING RETURNING 1`,
      [project, id, entity, JSON.stringify(key), digest, reason, workflowIds.erase(project, id), principal.name],
    );
    if (made) {
      await setTombstone(tx, { project, entity, digest, erasure: id });
      await recordAudit(tx, project, principal, 'opened erasure', `Entity/${entity}`, { erasure: id, reason });
    }
    return only(
      await tx.query<ErasureRow>(
        `SELECT ${rowColumns} FROM erasures WHERE project = $1 AND entity = $2 AND key_digest = $3 AND status = 'open'`,
        [project, entity, digest],
      ),
    );
  });
}

const rowColumns = `id, entity, key_digest AS "keyDigest", reason, status, workflow_id AS "workflowId", opened_at AS "openedAt", ended_at AS "endedAt", principal`;

export async function listErasures(db: Queries, project: ProjectName): Promise<ErasureRow[]> {
  return db.query<ErasureRow>(`SELECT ${rowColumns} FROM erasures WHERE project = $1 ORDER BY opened_at DESC, id`, [
    project,
  ]);
}

export type ErasureState = ErasureRow & { readonly certificate: SignedCertificate | null };

export async function getErasure(db: Queries, project: ProjectName, id: string): Promise<ErasureState> {
  const [row] = await db.query<ErasureState>(
    `SELECT ${rowColumns}, certificate FROM erasures WHERE project = $1 AND id = $2`,
    [project, id],
  );
  if (row) return row;
  throw new DomainError('erasure_unknown', `Project "${project}" has no erasure "${id}".`, { erasure: id });
}

/** Null once it has ended: then nobody has the key any more. */
export async function erasureKey(db: Queries, project: ProjectName, id: string): Promise<ErasureKey | null> {
  const rows = await db.query<{ key: ErasureKey | null }>('SELECT key FROM erasures WHERE project = $1 AND id = $2', [
    project,
    id,
  ]);
  return only(rows).key;
}

/** In the transaction of a step that erases: an erasure that was abandoned meanwhile takes no row any more. Throws `erasure_ended`. */
export async function requireOpen(tx: Queries, project: ProjectName, id: string): Promise<void> {
  const [open] = await tx.query(`SELECT 1 FROM erasures WHERE project = $1 AND id = $2 AND status = 'open' FOR SHARE`, [
    project,
    id,
  ]);
  if (!open) throw new DomainError('erasure_ended', `Erasure "${id}" is not open any more.`, { erasure: id });
}

/**
 * Ends an open erasure that took no row of anything, forgets its key, and lets the key in again. Windows that were computed
 * without it since then are computed anew the next time that somebody materializes them, and its pushed rows that flushes left
 * out are flushed by the next one. A repeat changes nothing; one that has taken rows is `erasure_begun`.
 */
export async function abandonErasure(
  db: Database,
  project: ProjectName,
  { id, reason }: { readonly id: string; readonly reason: string },
  principal: Principal,
): Promise<ErasureRow> {
  await getErasure(db, project, id);
  return db.transaction(async (tx) => {
    const { entity, status, openedAt, key } = only(
      await tx.query<ErasureRow & { key: ErasureKey | null }>(`SELECT ${rowColumns}, key FROM erasures WHERE project = $1 AND id = $2 FOR UPDATE`, [project, id]), // prettier-ignore
    );
    if (status === 'done') throw new DomainError('erasure_ended', `Erasure "${id}" is done.`, { erasure: id, status });
    if (status === 'open') {
      await requireNothingErased(tx, project, id);
      await tx.query(
        `UPDATE erasures SET status = 'abandoned', key = NULL, ended_at = clock_timestamp() WHERE project = $1 AND id = $2`,
        [project, id],
      );
      if (await liftTombstone(tx, project, id)) {
        await forgetFingerprints(tx, project, entity, openedAt);
        await flushAgain(tx, project, { entity, key: key?.text ?? '', since: openedAt });
      }
      await recordAudit(tx, project, principal, 'abandoned erasure', `Entity/${entity}`, {
        erasure: id,
        reason,
        erasedRows: 0,
      });
    }
    return only(
      await tx.query<ErasureRow>(`SELECT ${rowColumns} FROM erasures WHERE project = $1 AND id = $2`, [project, id]),
    );
  });
}

async function requireNothingErased(tx: Queries, project: ProjectName, id: string): Promise<void> {
  const { files, rows } = only(
    await tx.query<{ files: number; rows: number }>(
      `SELECT (SELECT count(*) FROM erased_files WHERE project = $1 AND erasure = $2) AS files,
         (SELECT coalesce(sum(rows), 0)::bigint FROM erased_rows WHERE project = $1 AND erasure = $2) AS rows`,
      [project, id],
    ),
  );
  if (files === 0 && rows === 0) return;
  const message = `Erasure "${id}" took rows out of ${files} files, and ${rows} rows of PostgreSQL.`;
  throw new DomainError('erasure_begun', message, { erasure: id, files, rows });
}

/** Of the windows that were committed since then, so that none of them is taken for current. */
async function forgetFingerprints(tx: Queries, project: ProjectName, entity: string, since: Instant): Promise<void> {
  await tx.query(
    `WITH stale AS (UPDATE window_heads h SET source_version = '' FROM commits c, revisions r
       WHERE c.id = h.commit_id AND h.project = $1 AND h.schema = 'features' AND h.lane = 'sources' AND c.committed_at >= $3
         AND (r.project, r.kind, r.name, r.revision) = (h.project, 'FeatureView', h.name, h.revision) AND r.body ->> 'entity' = $2
       RETURNING h.commit_id)
     UPDATE commits SET source_fingerprint = '' WHERE id IN (SELECT commit_id FROM stale)`,
    [project, entity, since],
  );
}

/** Flushes since then have left the key out of windows: its rows of these, also those that had been flushed before, wait again. */
async function flushAgain(
  tx: Queries,
  project: ProjectName,
  { entity, key, since }: { readonly entity: string; readonly key: string; readonly since: Instant },
): Promise<void> {
  await tx.query(
    `UPDATE pushed_rows p SET flushed_snapshot = NULL FROM commits c, revisions r
     WHERE c.project = $1 AND c.schema = 'features' AND c.lane = 'pushes' AND c.committed_at >= $4
       AND (r.project, r.kind, r.name, r.revision) = (c.project, 'FeatureView', c.name, c.revision) AND r.body ->> 'entity' = $2
       AND (p.project, p.view, p.revision) = (c.project, c.name, c.revision) AND p.key = $3 AND p.flushed_snapshot IS NOT NULL
       AND p.event_time >= c.window_start AND p.event_time < c.window_end`,
    [project, entity, key, since],
  );
}

/** Keeps the certificate and forgets the key; a repeat leaves the first certificate, and one that was abandoned gets none. */
export async function endErasure(
  db: Database,
  project: ProjectName,
  signed: SignedCertificate,
  principal: Principal,
): Promise<void> {
  const { erasure: id, entity, endedAt } = signed.certificate;
  await db.transaction(async (tx) => {
    const [ended] = await tx.query(
      `UPDATE erasures SET status = 'done', key = NULL, certificate = $3, ended_at = $4 WHERE project = $1 AND id = $2 AND status = 'open' RETURNING 1`,
      [project, id, JSON.stringify(signed), endedAt],
    );
    if (ended)
      await recordAudit(tx, project, principal, 'erased', `Entity/${entity}`, { erasure: id, sha256: signed.sha256 });
    else if ((await getErasure(tx, project, id)).certificate === null)
      throw new DomainError('erasure_ended', `Erasure "${id}" was abandoned.`, { erasure: id });
  });
}
