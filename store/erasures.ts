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
import { keySecret, setTombstone } from './tombstones.js';

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

/** Keeps the certificate and forgets the key; a repeat leaves the first certificate. */
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
  });
}
