import { DomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Breach, ColumnProfile, Finding } from '../domain/monitoring.js';
import type { Principal } from '../domain/principal.js';
import { recordAudit, type Database, type Queries } from './db.js';

export interface TickSummary {
  readonly rows: number;
  /** Windows whose labels were judged. */
  readonly judged: readonly Instant[];
  readonly breached: boolean;
  readonly reasons: readonly string[];
  readonly alert: string | null;
  /** The workflow of the retraining that the tick started. */
  readonly retraining: string | null;
  /** False while a retraining that the tick started is under way. */
  readonly done: boolean;
}

export interface Tick {
  readonly monitor: string;
  readonly asOf: Instant;
  readonly window: Window;
  /** The version that served in the window. */
  readonly version: number;
  readonly summary: TickSummary;
  readonly workflowId: string;
}

export interface StoredFinding extends Finding {
  readonly asOf: Instant;
  readonly window: Window;
  readonly version: number;
}

interface FindingRow extends Omit<StoredFinding, 'window'>, Window {}

/** The first finding of a window, version, test and subject is the one: a repeat changes nothing. */
export async function recordFindings(
  db: Queries,
  project: ProjectName,
  monitor: string,
  findings: readonly StoredFinding[],
): Promise<void> {
  const rows = findings.map(({ window, ...finding }) => ({ ...finding, ...window }));
  await db.query(
    `INSERT INTO findings (project, monitor, as_of, window_start, window_end, version, test, subject, value, threshold, breached, details)
     SELECT $1, $2, "asOf", start, "end", version, test, subject, value, threshold, breached, coalesce(details, '{}')
     FROM jsonb_to_recordset($3) AS f("asOf" timestamptz, start timestamptz, "end" timestamptz, version int, test text, subject text, value float8, threshold float8, breached boolean, details jsonb)
     ON CONFLICT DO NOTHING`,
    [project, monitor, JSON.stringify(rows)],
  );
}

/** Newest windows first; at most `limit` rows. */
export async function listFindings(
  db: Queries,
  project: ProjectName,
  monitor: string,
  { version, until, limit = 10_000 }: { version?: number; until?: Instant; limit?: number } = {},
): Promise<StoredFinding[]> {
  const rows = await db.query<FindingRow>(
    `SELECT as_of AS "asOf", window_start AS start, window_end AS "end", version, test, subject, value, threshold, breached, details FROM findings
     WHERE project = $1 AND monitor = $2 AND ($3::int IS NULL OR version = $3) AND ($4::timestamptz IS NULL OR as_of <= $4)
     ORDER BY window_start DESC, test, subject LIMIT $5`,
    [project, monitor, version ?? null, until ?? null, limit],
  );
  return rows.map(({ start, end, ...finding }) => ({ ...finding, window: { start, end } }));
}

export async function recordTick(db: Queries, project: ProjectName, tick: Tick): Promise<void> {
  await db.query(
    `INSERT INTO ticks (project, monitor, as_of, window_start, window_end, version, summary, workflow_id) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)
     ON CONFLICT DO NOTHING`,
    [
      project,
      tick.monitor,
      tick.asOf,
      tick.window.start,
      tick.window.end,
      tick.version,
      JSON.stringify(tick.summary),
      tick.workflowId,
    ],
  );
}

export async function findTick(
  db: Queries,
  project: ProjectName,
  monitor: string,
  asOf: Instant,
): Promise<Tick | null> {
  return (await listTicks(db, project, monitor)).find((tick) => tick.asOf === asOf) ?? null;
}

export async function finishTick(
  db: Queries,
  project: ProjectName,
  monitor: string,
  asOf: Instant,
  retraining: string,
): Promise<void> {
  await db.query('UPDATE ticks SET summary = summary || $4 WHERE project = $1 AND monitor = $2 AND as_of = $3', [
    project,
    monitor,
    asOf,
    JSON.stringify({ retraining, done: true }),
  ]);
}

export async function listTicks(db: Queries, project: ProjectName, monitor: string): Promise<Tick[]> {
  const rows = await db.query<Omit<Tick, 'window'> & Window>(
    'SELECT monitor, as_of AS "asOf", window_start AS start, window_end AS "end", version, summary, workflow_id AS "workflowId" FROM ticks WHERE project = $1 AND monitor = $2 ORDER BY as_of',
    [project, monitor],
  );
  return rows.map(({ start, end, ...tick }) => ({ ...tick, window: { start, end } }));
}

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

export async function findReferenceProfiles(
  db: Queries,
  project: ProjectName,
  model: string,
  version: number,
): Promise<readonly ColumnProfile[] | null> {
  const rows = await db.query<{ profiles: ColumnProfile[] }>(
    'SELECT profiles FROM reference_profiles WHERE project = $1 AND model = $2 AND version = $3',
    [project, model, version],
  );
  return rows[0]?.profiles ?? null;
}

/** The first recording of a version is the one that is returned ever after. */
export async function recordReferenceProfiles(
  db: Queries,
  project: ProjectName,
  model: string,
  version: number,
  profiles: readonly ColumnProfile[],
): Promise<readonly ColumnProfile[]> {
  await db.query(
    'INSERT INTO reference_profiles (project, model, version, profiles) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING',
    [project, model, version, JSON.stringify(profiles)],
  );
  return (await findReferenceProfiles(db, project, model, version)) ?? profiles;
}
