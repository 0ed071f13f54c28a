import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { ColumnProfile, Finding, MonitorTicked } from '../domain/monitoring.js';
import type { Queries } from './db.js';

/** What a tick answers, as it is kept. */
export interface TickSummary extends Omit<MonitorTicked, 'asOf' | 'version'> {
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

/** Where a reader of findings stands: the order is by window, newest first, then by version, test and subject. */
export type FindingPosition = Pick<StoredFinding, 'version' | 'test' | 'subject'> & Pick<Window, 'start'>;

export interface FindingsWanted {
  readonly version?: number;
  /** Only what was found by this instant. */
  readonly until?: Instant;
  /** Only windows that start at this instant or later. */
  readonly since?: Instant;
  readonly after?: FindingPosition;
  /** Without it all are read. */
  readonly limit?: number;
}

export async function listFindings(
  db: Queries,
  project: ProjectName,
  monitor: string,
  { version, until, since, after, limit }: FindingsWanted = {},
): Promise<StoredFinding[]> {
  const rows = await db.query<FindingRow>(
    `SELECT as_of AS "asOf", window_start AS start, window_end AS "end", version, test, subject, value, threshold, breached, details FROM findings
     WHERE project = $1 AND monitor = $2 AND ($3::int IS NULL OR version = $3) AND ($4::timestamptz IS NULL OR as_of <= $4) AND ($5::timestamptz IS NULL OR window_start >= $5)
       AND ($6::timestamptz IS NULL OR window_start < $6 OR (window_start = $6 AND (version, test, subject) > ($7::int, $8::text, $9::text)))
     ORDER BY window_start DESC, version, test, subject LIMIT $10`,
    [
      ...[project, monitor, version ?? null, until ?? null, since ?? null],
      ...[after?.start ?? null, after?.version ?? null, after?.test ?? null, after?.subject ?? null, limit ?? null],
    ],
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

const tickColumns = `monitor, as_of AS "asOf", window_start AS start, window_end AS "end", version, summary, workflow_id AS "workflowId"`;
type TickRow = Omit<Tick, 'window'> & Window;
const toTick = ({ start, end, ...tick }: TickRow): Tick => ({ ...tick, window: { start, end } });

export async function findTick(
  db: Queries,
  project: ProjectName,
  monitor: string,
  asOf: Instant,
): Promise<Tick | null> {
  const [row] = await db.query<TickRow>(
    `SELECT ${tickColumns} FROM ticks WHERE project = $1 AND monitor = $2 AND as_of = $3`,
    [project, monitor, asOf],
  );
  return row ? toTick(row) : null;
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
  const rows = await db.query<TickRow>(
    `SELECT ${tickColumns} FROM ticks WHERE project = $1 AND monitor = $2 ORDER BY as_of`,
    [project, monitor],
  );
  return rows.map(toTick);
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
