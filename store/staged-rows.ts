import type { Writable } from 'node:stream';
import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { fromMicros } from '../domain/instants.js';
import { liftTimeout, literal, only, type Database, type Queries, type Transaction } from './db.js';

/** Pushed rows on their way into the lake: which of them a reader must see beside a snapshot, and which wait. */

export interface PushedRef {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
}

const where = ({ project, view, revision }: PushedRef): string =>
  `project = ${literal(project)} AND view = ${literal(view)} AND revision = ${Math.trunc(revision)}`;
/** Those that the lake holds sooner or later. */
const offline = "target <> 'online'";

/** Rows up to the sequence number that no file of the snapshot holds. */
const besideSnapshot = (snapshot: number, sequence: number): string =>
  `${offline} AND sequence <= ${Math.trunc(sequence)} AND (flushed_snapshot IS NULL OR flushed_snapshot > ${Math.trunc(snapshot)})`;
const waiting = (sequence: number): string =>
  `${offline} AND sequence <= ${Math.trunc(sequence)} AND flushed_snapshot IS NULL`;
/** A generation as it was planned: what it was loaded from. */
export interface PlannedOn {
  readonly sequence: number;
  readonly watermark: Instant | null;
}

/**
 * What a generation must show beside the rows that it was loaded with: what was pushed after it had been planned, what no
 * snapshot will ever hold because it was pushed online only, and what its watermark kept out although it was online already.
 * Of such keys all rows are looked at, since of rows with the same instants the last pushed one counts.
 */
export function sincePlanned(ref: PushedRef, { sequence, watermark }: PlannedOn): string {
  const planned = Math.trunc(sequence);
  const shown = `greatest(event_time, coalesce(known_at, event_time)) <= ${literal(watermark ?? '-infinity')}::timestamptz`;
  const keys = `SELECT key FROM pushed_rows WHERE ${where(ref)} AND sequence <= ${planned} AND (target = 'online' OR (target <> 'offline' AND NOT ${shown}))`;
  return `${where(ref)} AND ((sequence > ${planned} AND target <> 'offline') OR (sequence <= ${planned} AND (target <> 'offline' OR ${shown}) AND key IN (${keys})))`;
}

export type PushedSelection =
  | { readonly kind: 'beside snapshot'; readonly snapshot: number; readonly sequence: number }
  | { readonly kind: 'waiting'; readonly sequence: number }
  | ({ readonly kind: 'since planned' } & PlannedOn);

function conditionOf(ref: PushedRef, selection: PushedSelection): string {
  if (selection.kind === 'beside snapshot') return besideSnapshot(selection.snapshot, selection.sequence);
  if (selection.kind === 'waiting') return waiting(selection.sequence);
  return sincePlanned(ref, selection);
}

export async function countPushed(db: Queries, ref: PushedRef, selection: PushedSelection): Promise<number> {
  const rows = await db.query<{ count: number }>(
    `SELECT count(*) AS count FROM pushed_rows WHERE ${where(ref)} AND ${conditionOf(ref, selection)}`,
  );
  return only(rows).count;
}

/** One row each for keys and instants, the last pushed one, as texts for lake/online.ts: readTexts. */
export async function copyPushed(
  tx: Transaction,
  ref: PushedRef,
  selection: PushedSelection,
  rows: Writable,
): Promise<void> {
  const identity = 'key, event_time, coalesce(known_at, event_time)';
  await tx.copyOut(
    `COPY (SELECT DISTINCT ON (${identity}) key, ${micros('event_time')}, ${micros('known_at')}, sequence, features FROM pushed_rows
       WHERE ${where(ref)} AND ${conditionOf(ref, selection)} ORDER BY ${identity}, sequence DESC) TO STDOUT (FORMAT csv)`,
    rows,
  );
}

/** `extract` is exact: a numeric. */
export const micros = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::bigint`;

/** Notes, in the transaction that commits them, that the rows of this event time are in the snapshot. */
export async function markFlushed(
  tx: Queries,
  { project, view, revision }: PushedRef,
  range: { readonly start: string; readonly end: string },
  sequence: number,
  snapshot: number,
): Promise<void> {
  await tx.query(
    `UPDATE pushed_rows SET flushed_snapshot = $6 WHERE project = $1 AND view = $2 AND revision = $3 AND ${offline} AND flushed_snapshot IS NULL
       AND event_time >= $4 AND event_time < $5 AND sequence <= $7`,
    [project, view, revision, range.start, range.end, snapshot, sequence],
  );
}

export interface WaitingPushes extends PushedRef {
  readonly rows: number;
  /** Of the last row that waits. */
  readonly sequence: number;
}

/** What waits to be flushed, by revision; `longerThanSeconds` or more rows than `rowsMin` make a view due. */
export async function waitingPushes(
  db: Queries,
  { view, project, longerThanSeconds = 0, rowsMin = 1 }: { project?: ProjectName; view?: string; longerThanSeconds?: number; rowsMin?: number }, // prettier-ignore
): Promise<WaitingPushes[]> {
  return db.query<WaitingPushes>(
    `SELECT project, view, revision, count(*) AS rows, max(sequence) AS sequence FROM pushed_rows
     WHERE flushed_snapshot IS NULL AND target <> 'online' AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR view = $2)
     GROUP BY project, view, revision HAVING min(pushed_at) <= now() - make_interval(secs => $3) OR count(*) >= $4
     ORDER BY project, view, revision`,
    [project ?? null, view ?? null, longerThanSeconds, rowsMin],
  );
}

/** The windows of event time that waiting rows lie in, in order of time. */
export async function waitingWindows(
  db: Queries,
  ref: PushedRef,
  sequence: number,
  sizeMicros: number,
): Promise<Window[]> {
  const rows = await db.query<{ number: number }>(
    `SELECT DISTINCT floor(extract(epoch FROM event_time) * 1000000 / $1::numeric)::bigint AS number FROM pushed_rows
     WHERE ${where(ref)} AND ${waiting(sequence)} ORDER BY number`,
    [sizeMicros],
  );
  return rows.map(({ number }) => ({
    start: fromMicros(number * sizeMicros),
    end: fromMicros((number + 1) * sizeMicros),
  }));
}

/** The rows of a selection, in a transaction of their own. */
export const copyPushedNow = (
  db: Database,
  ref: PushedRef,
  selection: PushedSelection,
  rows: Writable,
): Promise<void> =>
  db.transaction(async (tx) => {
    await liftTimeout(tx);
    await copyPushed(tx, ref, selection, rows);
  });
