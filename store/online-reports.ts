import type { Writable } from 'node:stream';
import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { OnlineReport, OnlineVerified } from '../domain/publishing.js';
import type { Principal } from '../domain/principal.js';
import { literal, only, recordAudit, type Database, type Queries, type Transaction } from './db.js';
import { generationById, lockOnlineView, tableOf } from './online.js';
import { micros } from './staged-rows.js';
import { withoutErased } from './tombstones.js';

/** Comparing what is online with what should be: hashes of buckets first, rows of those that differ afterwards. */

export interface OnlineSample {
  readonly seed: number;
  readonly below: string | null;
}

const sampled = ({ seed, below }: OnlineSample): string =>
  below === null ? 'true' : `md5('${Math.trunc(seed)}:' || key) < ${literal(below)}`;

/** So many keys have a smaller hash than this; null when there are no more than that. */
export async function sampleBelow(tx: Queries, id: number, seed: number, keys: number): Promise<string | null> {
  const [row] = await tx.query<{ hash: string }>(
    `SELECT md5($1 || ':' || key) COLLATE "C" AS hash FROM ${tableOf(id)} ORDER BY 1 OFFSET $2 LIMIT 1`,
    [String(seed), keys],
  );
  return row?.hash ?? null;
}

/** As lake/online-proof.ts has them. */
export async function onlineBuckets(
  tx: Queries,
  id: number,
  sample: OnlineSample,
): Promise<{ bucket: string; rows: number; hash: string }[]> {
  const text = `concat_ws('|', key, ${micros('event_time')}, ${micros('known_at')}, features)`;
  return tx.query(
    `SELECT substr(md5(key), 1, 2) AS bucket, count(*) AS rows, sum(('x' || substr(md5(${text}), 1, 15))::bit(60)::bigint)::text AS hash
     FROM ${tableOf(id)} WHERE ${sampled(sample)} GROUP BY 1 ORDER BY 1`,
  );
}

export async function copyBuckets(
  tx: Transaction,
  id: number,
  sample: OnlineSample,
  buckets: readonly string[],
  rows: Writable,
): Promise<void> {
  await tx.copyOut(
    `COPY (SELECT key, ${micros('event_time')}, ${micros('known_at')}, sequence, features FROM ${tableOf(id)}
       WHERE ${sampled(sample)} AND substr(md5(key), 1, 2) IN (${buckets.map(literal).join(', ')})) TO STDOUT (FORMAT csv)`,
    rows,
  );
}

/** A key that differs: what was seen there, and what belongs there; null: no row. */
export interface Mending {
  readonly key: string;
  readonly seen: MendingRow | null;
  readonly wanted: MendingRow | null;
}
export interface MendingRow {
  readonly eventMicros: number;
  readonly knownMicros: number;
  readonly sequence: number;
  readonly features: string;
}

export async function recordReport(
  db: Queries,
  project: ProjectName,
  report: OnlineReport,
  mending: readonly Mending[] | null,
  workflowId: string,
  principal: Principal,
): Promise<void> {
  await db.query(
    `INSERT INTO online_reports (project, id, view, generation, report, mending, workflow_id, principal) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT DO NOTHING`,
    [project, report.id, report.view, report.generation, JSON.stringify(report), mending && JSON.stringify(mending), workflowId, principal.name], // prettier-ignore
  );
}

export async function getReport(
  db: Queries,
  project: ProjectName,
  view: string,
  id: string,
): Promise<OnlineReport | null> {
  const [row] = await db.query<{ report: OnlineReport }>(
    'SELECT report FROM online_reports WHERE project = $1 AND view = $2 AND id = $3',
    [project, view, id],
  );
  return row?.report ?? null;
}

export interface ReportRow extends OnlineVerified {
  readonly at: Instant;
}

/** Newest first, without their differences. */
export async function listReports(
  db: Queries,
  project: ProjectName,
  view: string,
  limit: number,
): Promise<ReportRow[]> {
  const rows = await db.query<{ report: OnlineVerified; at: Instant }>(
    `SELECT report - 'differences' AS report, created_at AS at FROM online_reports WHERE project = $1 AND view = $2 ORDER BY created_at DESC, id LIMIT $3`,
    [project, view, limit],
  );
  return rows.map(({ report, at }) => ({ ...report, at }));
}

const entries = `jsonb_to_recordset($1) AS e(key text, seen_us bigint, seen_known_us bigint, seen_features text, event_us bigint, known_us bigint, sequence bigint, features text)`;
const asSeen = `g.key = e.key AND g.features = e.seen_features AND ${micros('g.event_time')} = e.seen_us AND ${micros('g.known_at')} = e.seen_known_us`;
const instantOf = (column: string): string => `'epoch'::timestamptz + ${column} * interval '1 microsecond'`;
const wantedRow = `${instantOf('e.event_us')}, ${instantOf('e.known_us')}, e.sequence, e.features`;

/** Writes what belongs there for exactly the keys of the report that are still as they were seen. Once: a repeat changes nothing. */
export async function repairKeys(
  db: Database,
  project: ProjectName,
  view: string,
  id: string,
  principal: Principal,
): Promise<OnlineVerified> {
  return db.transaction(async (tx) => {
    const { live } = await lockOnlineView(tx, project, view);
    const { report, mending } = only(
      await tx.query<{ report: OnlineReport; mending: Mending[] | null }>(
        'SELECT report, mending FROM online_reports WHERE project = $1 AND view = $2 AND id = $3 FOR UPDATE',
        [project, view, id],
      ),
    );
    const { differences: _, ...verified } = report;
    if (verified.repaired > 0) return verified;
    if (live === null || (await generationById(tx, live)).generation !== report.generation)
      throw new DomainError('generation_moved', `Generation ${report.generation} of "${view}" is live no longer.`, {
        view,
      });
    if (mending === null)
      throw new DomainError('request_too_large', `${report.differing} keys differ, which are too many to be mended one by one: publish the view again.`); // prettier-ignore
    const kept = await withoutErased(tx, project, view, mending);
    const rows = [JSON.stringify(kept.map(entryOf))];
    const changed = await tx.query(
      `UPDATE ${tableOf(live)} g SET (event_time, known_at, sequence, features) = (${wantedRow}) FROM ${entries} WHERE e.features IS NOT NULL AND ${asSeen} RETURNING 1`,
      rows,
    );
    const deleted = await tx.query(`DELETE FROM ${tableOf(live)} g USING ${entries} WHERE e.features IS NULL AND ${asSeen} RETURNING 1`, rows); // prettier-ignore
    const added = await tx.query(
      `INSERT INTO ${tableOf(live)} (key, event_time, known_at, sequence, features) SELECT e.key, ${wantedRow} FROM ${entries}
       WHERE e.features IS NOT NULL AND e.seen_features IS NULL ON CONFLICT DO NOTHING RETURNING 1`,
      rows,
    );
    const repaired = changed.length + deleted.length + added.length;
    await tx.query(`UPDATE online_reports SET report = report || jsonb_build_object('repaired', $3::bigint) WHERE project = $1 AND id = $2`, [project, id, repaired]); // prettier-ignore
    await recordAudit(tx, project, principal, 'repaired', `online/${view}/g${report.generation}`, {
      report: id,
      repaired,
    });
    return { ...verified, repaired };
  });
}

const entryOf = ({ key, seen, wanted }: Mending) => ({
  ...{ key, seen_us: seen?.eventMicros, seen_known_us: seen?.knownMicros, seen_features: seen?.features },
  ...{ event_us: wanted?.eventMicros, known_us: wanted?.knownMicros, sequence: wanted?.sequence },
  features: wanted?.features,
});
