import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Breach } from '../domain/monitoring.js';
import type { Principal } from '../domain/principal.js';
import { recordAudit, type Database, type Queries } from './db.js';

/** One thing that was tried because of an alert. */
export interface Remedy {
  readonly asOf: Instant;
  readonly run: string;
  readonly workflowId: string;
  readonly outcome: string;
}

export interface Alert {
  readonly id: string;
  readonly monitor: string;
  readonly status: 'open' | 'resolved';
  readonly reasons: readonly string[];
  readonly breaches: readonly Breach[];
  readonly openedAsOf: Instant;
  readonly resolvedAsOf: Instant | null;
  readonly resolution: string | null;
  readonly remedy: readonly Remedy[];
  readonly workflowId: string;
}

const alertColumns = `id, monitor, status, reasons, breaches, opened_as_of AS "openedAsOf", resolved_as_of AS "resolvedAsOf", resolution, remedy, workflow_id AS "workflowId"`;

export async function findOpenAlert(db: Queries, project: ProjectName, monitor: string): Promise<Alert | null> {
  const rows = await db.query<Alert>(
    `SELECT ${alertColumns} FROM alerts WHERE project = $1 AND monitor = $2 AND status = 'open'`,
    [project, monitor],
  );
  return rows[0] ?? null;
}

export async function listAlerts(db: Queries, project: ProjectName, monitor?: string): Promise<Alert[]> {
  return db.query<Alert>(
    `SELECT ${alertColumns} FROM alerts WHERE project = $1 AND ($2::text IS NULL OR monitor = $2) ORDER BY opened_as_of, id`,
    [project, monitor ?? null],
  );
}

/** At most one alert of a monitor is open: while one is, its reasons are brought up to date. */
export async function raiseAlert(
  db: Database,
  project: ProjectName,
  alert: Pick<Alert, 'id' | 'monitor' | 'reasons' | 'breaches' | 'openedAsOf' | 'workflowId'>,
  principal: Principal,
): Promise<Alert> {
  return db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`alerts/${project}/${alert.monitor}`]);
    const [same] = await tx.query<Alert>(`SELECT ${alertColumns} FROM alerts WHERE project = $1 AND id = $2`, [
      project,
      alert.id,
    ]);
    if (same) return same;
    const open = await findOpenAlert(tx, project, alert.monitor);
    if (open) {
      await tx.query('UPDATE alerts SET reasons = $3 WHERE project = $1 AND id = $2', [
        project,
        open.id,
        JSON.stringify(alert.reasons),
      ]);
      return { ...open, reasons: alert.reasons };
    }
    const rows = await tx.query<Alert>(
      `INSERT INTO alerts (project, id, monitor, status, reasons, breaches, opened_as_of, workflow_id) VALUES ($1,$2,$3,'open',$4,$5,$6,$7) RETURNING ${alertColumns}`,
      [
        project,
        alert.id,
        alert.monitor,
        JSON.stringify(alert.reasons),
        JSON.stringify(alert.breaches),
        alert.openedAsOf,
        alert.workflowId,
      ],
    );
    await recordAudit(tx, project, principal, 'raised alert', alert.id, { reasons: alert.reasons });
    return rows[0] as Alert;
  });
}

/** Adds what was tried (once for a workflow: one that failed may have no run) and, with a resolution, closes the alert. */
export async function updateAlert(
  db: Database,
  project: ProjectName,
  id: string,
  change: { remedy?: Remedy; resolution?: { asOf: Instant; reason: string } },
  principal: Principal,
): Promise<Alert> {
  return db.transaction(async (tx) => {
    const [alert] = await tx.query<Alert>(
      `SELECT ${alertColumns} FROM alerts WHERE project = $1 AND id = $2 FOR UPDATE`,
      [project, id],
    );
    if (!alert) throw new DomainError('internal', `There is no alert ${id}.`, { id });
    const { remedy, resolution } = change;
    if (remedy) {
      const tried = [...alert.remedy.filter((one) => one.workflowId !== remedy.workflowId), remedy];
      await tx.query('UPDATE alerts SET remedy = $3 WHERE project = $1 AND id = $2', [
        project,
        id,
        JSON.stringify(tried),
      ]);
    }
    if (resolution && alert.status === 'open') {
      await tx.query(
        "UPDATE alerts SET status = 'resolved', resolved_as_of = $3, resolution = $4 WHERE project = $1 AND id = $2",
        [project, id, resolution.asOf, resolution.reason],
      );
      await recordAudit(tx, project, principal, 'resolved alert', id, { reason: resolution.reason });
    }
    return (
      await tx.query<Alert>(`SELECT ${alertColumns} FROM alerts WHERE project = $1 AND id = $2`, [project, id])
    )[0] as Alert;
  });
}
