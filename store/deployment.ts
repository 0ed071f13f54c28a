import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Principal } from '../domain/principal.js';
import { only, recordAudit, type Database, type Queries } from './db.js';
import { findAlias, moveAlias } from './models.js';

/** The channel on which instances hear that an announcement or the traffic changed. */
export const endpointsChannel = 'eider_endpoints';

export interface Traffic {
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  readonly generation: number;
  /** Since when in data time. */
  readonly dataInstant: Instant;
}

export interface Rollout {
  readonly id: string;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  readonly status: 'open' | 'done' | 'failed' | 'cancelled';
  readonly reason: string | null;
  /** The endpoint's generation that the rollout makes when it shifts traffic. */
  readonly generation: number;
  readonly dataInstant: Instant;
  readonly workflowId: string;
  readonly openedAt: Instant;
  readonly closedAt: Instant | null;
}

const rolloutColumns = `id, endpoint, model, version, status, reason, generation, data_instant AS "dataInstant", workflow_id AS "workflowId", opened_at AS "openedAt", closed_at AS "closedAt"`;
const trafficColumns = `endpoint, model, version, generation, data_instant AS "dataInstant"`;

export async function findTraffic(db: Queries, project: ProjectName, endpoint: string): Promise<Traffic | null> {
  const rows = await db.query<Traffic>(
    `SELECT ${trafficColumns} FROM endpoint_traffic WHERE project = $1 AND endpoint = $2`,
    [project, endpoint],
  );
  return rows[0] ?? null;
}

export async function listTraffic(db: Queries, project: ProjectName): Promise<Traffic[]> {
  return db.query<Traffic>(`SELECT ${trafficColumns} FROM endpoint_traffic WHERE project = $1 ORDER BY endpoint`, [
    project,
  ]);
}

export async function findRollout(db: Queries, project: ProjectName, id: string): Promise<Rollout | null> {
  const rows = await db.query<Rollout>(`SELECT ${rolloutColumns} FROM rollouts WHERE project = $1 AND id = $2`, [
    project,
    id,
  ]);
  return rows[0] ?? null;
}

export async function listRollouts(db: Queries, project: ProjectName, endpoint?: string): Promise<Rollout[]> {
  return db.query<Rollout>(
    `SELECT ${rolloutColumns} FROM rollouts WHERE project = $1 AND ($2::text IS NULL OR endpoint = $2) ORDER BY opened_at, id`,
    [project, endpoint ?? null],
  );
}

/** Open rollouts of all projects that began more than a minute ago, for whoever looks after the unfinished. */
export async function openRollouts(db: Queries): Promise<{ project: ProjectName; id: string; workflowId: string }[]> {
  return db.query(
    `SELECT project, id, workflow_id AS "workflowId" FROM rollouts WHERE status = 'open' AND opened_at < now() - interval '1 minute' ORDER BY opened_at LIMIT 1000`,
  );
}

export interface Announcement {
  readonly id: string;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  readonly dataInstant: Instant;
  readonly workflowId: string;
}

/** Opens the rollout and tells the instances; a repeat returns the recorded one. Throws `rollout_open` while another is open. */
export async function announceRollout(
  db: Database,
  project: ProjectName,
  announcement: Announcement,
  principal: Principal,
): Promise<Rollout> {
  const { id, endpoint, model, version, dataInstant, workflowId } = announcement;
  return db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`rollouts/${project}/${endpoint}`]);
    const [open] = await tx.query<{ id: string }>(
      "SELECT id FROM rollouts WHERE project = $1 AND endpoint = $2 AND status = 'open' AND id <> $3",
      [project, endpoint, id],
    );
    if (open)
      throw new DomainError('rollout_open', `Rollout ${open.id} of endpoint "${endpoint}" is open.`, { open: open.id });
    // Never used before, not even by a rollout that failed: what instances said of that one must not count for this one.
    const [last] = await tx.query<{ generation: number | null }>(
      'SELECT max(generation) AS generation FROM rollouts WHERE project = $1 AND endpoint = $2',
      [project, endpoint],
    );
    const generation = (last?.generation ?? 0) + 1;
    const rows = await tx.query<Rollout>(
      `INSERT INTO rollouts (project, id, endpoint, model, version, status, generation, data_instant, workflow_id, principal) VALUES ($1,$2,$3,$4,$5,'open',$6,$7,$8,$9)
       ON CONFLICT (project, id) DO UPDATE SET status = CASE WHEN rollouts.status IN ('failed', 'cancelled') THEN 'open' ELSE rollouts.status END,
         generation = CASE WHEN rollouts.status IN ('failed', 'cancelled') THEN $6 ELSE rollouts.generation END,
         reason = CASE WHEN rollouts.status IN ('failed', 'cancelled') THEN NULL ELSE rollouts.reason END,
         opened_at = CASE WHEN rollouts.status IN ('failed', 'cancelled') THEN now() ELSE rollouts.opened_at END,
         closed_at = CASE WHEN rollouts.status IN ('failed', 'cancelled') THEN NULL ELSE rollouts.closed_at END
       RETURNING ${rolloutColumns}`,
      [project, id, endpoint, model, version, generation, dataInstant, workflowId, principal.name],
    );
    await tx.query('SELECT pg_notify($1, $2)', [endpointsChannel, `${project}/${endpoint}`]);
    return only(rows);
  });
}

export interface InstanceState {
  readonly instance: string;
  readonly url: string;
  readonly state: 'ready' | 'failed' | null;
  readonly reason: string | null;
}

/** Every live instance with what it said of the announced generation; an expired lease is not live. */
export async function instanceStates(
  db: Queries,
  project: ProjectName,
  rollout: Pick<Rollout, 'endpoint' | 'version' | 'generation'>,
): Promise<InstanceState[]> {
  return db.query<InstanceState>(
    `SELECT i.instance, i.url, v.state, v.reason FROM inference_instances i
     LEFT JOIN instance_versions v ON v.instance = i.instance AND v.project = $1 AND v.endpoint = $2 AND v.version = $3 AND v.generation = $4
     WHERE i.lease_until > now() ORDER BY i.instance`,
    [project, rollout.endpoint, rollout.version, rollout.generation],
  );
}

/**
 * One transaction switches the endpoint's traffic, moves the alias `champion` and closes the rollout. Compare-and-set on the
 * generation that the rollout announced; a repeat after success returns what was recorded.
 */
export async function shiftTraffic(
  db: Database,
  project: ProjectName,
  id: string,
  reason: string,
  principal: Principal,
): Promise<Rollout> {
  return db.transaction(async (tx) => {
    const [rollout] = await tx.query<Rollout>(
      `SELECT ${rolloutColumns} FROM rollouts WHERE project = $1 AND id = $2 FOR UPDATE`,
      [project, id],
    );
    if (!rollout) throw new DomainError('internal', `Rollout ${id} was never announced.`, { id });
    if (rollout.status === 'done') return rollout;
    if (rollout.status !== 'open')
      throw new DomainError('generation_moved', `Rollout ${id} is ${rollout.status}.`, { id });
    const { endpoint, model, version, generation, dataInstant, workflowId } = rollout;
    const moved = await tx.query(
      `INSERT INTO endpoint_traffic (project, endpoint, model, version, generation, data_instant) VALUES ($1,$2,$3,$4,$5,$6)
       ON CONFLICT (project, endpoint) DO UPDATE SET model = $3, version = $4, generation = $5, data_instant = $6, updated_at = now()
       WHERE endpoint_traffic.generation < $5 RETURNING 1`,
      [project, endpoint, model, version, generation, dataInstant],
    );
    if (moved.length === 0)
      throw new DomainError('generation_moved', `The traffic of "${endpoint}" moved since the rollout began.`, {
        endpoint,
      });
    const champion = await findAlias(tx, project, model, 'champion');
    await moveAlias(
      tx,
      project,
      { model, alias: 'champion', version, expected: champion?.generation ?? 0, dataInstant, reason, workflowId },
      principal,
    );
    await recordAudit(tx, project, principal, 'shifted traffic', `endpoint/${endpoint}`, { version, generation });
    return (await closeRollout(tx, project, id, 'done', reason)) ?? rollout;
  });
}

/** Ends an open rollout; one that ended stays as it is, and null is the answer for one that was never announced. */
export async function closeRollout(
  db: Queries,
  project: ProjectName,
  id: string,
  status: Rollout['status'],
  reason: string,
): Promise<Rollout | null> {
  const rows = await db.query<Rollout>(
    `UPDATE rollouts SET status = CASE WHEN status = 'open' THEN $3 ELSE status END, reason = CASE WHEN status = 'open' THEN $4 ELSE reason END, closed_at = coalesce(closed_at, now())
     WHERE project = $1 AND id = $2 RETURNING ${rolloutColumns}`,
    [project, id, status, reason],
  );
  const rollout = rows[0] ?? null;
  if (rollout) await db.query('SELECT pg_notify($1, $2)', [endpointsChannel, `${project}/${rollout.endpoint}`]);
  return rollout;
}
