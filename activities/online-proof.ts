import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { activityInfo } from '@temporalio/activity';
import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { fromMicros } from '../domain/instants.js';
import type { OnlineValue } from '../domain/online.js';
import {
  differenceKinds,
  type DifferenceKind,
  type OnlineDifference,
  type OnlineReport,
  type OnlineVerified,
  type VerifyOnline,
} from '../domain/publishing.js';
import type { Session } from '../lake/duckdb.js';
import { differingRows, expectedBuckets, expectRows, type DifferingRow, type TextRow } from '../lake/online-proof.js';
import { liftTimeout, type Transaction } from '../store/db.js';
import { copyBuckets, onlineBuckets, recordReport, repairKeys, sampleBelow } from '../store/online-reports.js';
import { liveGeneration, onlineView, type Generation } from '../store/online.js';
import { copyPushed } from '../store/staged-rows.js';
import { withoutErased } from '../store/tombstones.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { holding, offlineRows, type OnlineDependencies } from './online.js';

/** More than so many are not mended one by one. */
const mendingMax = 10_000;
const shownMax = 100;

export const proofActivities = (dependencies: OnlineDependencies) => ({
  /** Reads both sides at one moment and keeps the report, once an execution. */
  compareOnline: (input: VerifyOnline): Promise<OnlineVerified> =>
    beating((signal) => compare(dependencies, input, signal)),

  /** Once a report: a repeat gets what the first attempt wrote. */
  repairOnline: (input: {
    project: ProjectName;
    view: string;
    id: string;
    principal: string;
  }): Promise<OnlineVerified> =>
    repairKeys(dependencies.db, input.project, input.view, input.id, { name: input.principal }),
});

type Compared = Pick<OnlineReport, 'sequence' | 'compared' | 'bucketsDiffering' | 'counts'> & {
  readonly rows: DifferingRow[];
};

async function compare(
  dependencies: OnlineDependencies,
  input: VerifyOnline,
  signal: AbortSignal,
): Promise<OnlineVerified> {
  const { db, engine, scratch } = dependencies;
  const { project, view } = input;
  const generation = await liveGeneration(db, project, view);
  if (!generation) throw new DomainError('view_not_online', `Nothing of the view "${view}" is online.`, { view });
  const files = ['pushed', 'online'].map((name) => join(scratch, `${name}-${randomUUID()}.csv`)) as [string, string];
  try {
    const compared = await holding(db, project, generation, () =>
      engine.session(async (session) => {
        const relation = await offlineRows(dependencies, session, project, generation);
        // What is online and what was pushed are read in one state of the database, however long DuckDB takes in between.
        return db.transaction(async (tx) => {
          await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
          await liftTimeout(tx);
          return compareIn(tx, session, generation, { ...input, relation, files });
        });
      }, signal),
    );
    return await record(dependencies, input, generation, compared);
  } finally {
    await Promise.all(files.map((file) => rm(file, { force: true })));
  }
}

async function compareIn(
  tx: Transaction,
  session: Session,
  generation: Generation,
  { project, view, sample: keys, seed, relation, files: [pushed, online] }: VerifyOnline & { relation: string; files: readonly [string, string] }, // prettier-ignore
): Promise<Compared> {
  const { id, shape, watermark, revision } = generation;
  const { live, sequence } = await onlineView(tx, project, view);
  if (live !== id)
    throw new DomainError('generation_moved', `Generation ${generation.generation} of "${view}" is live no longer.`);
  const sample = { seed, below: keys === undefined ? null : await sampleBelow(tx, id, seed, keys) };
  await copyPushed(tx, { project, view, revision }, { kind: 'since planned', sequence: generation.sequence, watermark }, createWriteStream(pushed)); // prettier-ignore
  await expectRows(session, { relation, shape, watermark, pushed, sample });
  const [there, wanted] = [await onlineBuckets(tx, id, sample), await expectedBuckets(session)];
  const seen = new Map(there.map((one) => [one.bucket, one]));
  const expected = new Map(wanted.map((one) => [one.bucket, one]));
  const all = [...new Set([...seen.keys(), ...expected.keys()])];
  const buckets = all.filter((bucket) => seen.get(bucket)?.hash !== expected.get(bucket)?.hash);
  const compared = all.reduce(
    (sum, bucket) => sum + Math.max(seen.get(bucket)?.rows ?? 0, expected.get(bucket)?.rows ?? 0),
    0,
  );
  const none = Object.fromEntries(differenceKinds.map((kind) => [kind, 0])) as Record<DifferenceKind, number>;
  if (buckets.length === 0) return { sequence, compared, bucketsDiffering: 0, counts: none, rows: [] };
  await copyBuckets(tx, id, sample, buckets, createWriteStream(online));
  const { rows, counts } = await differingRows(session, shape, buckets, online, mendingMax);
  return {
    sequence,
    compared,
    bucketsDiffering: buckets.length,
    counts: { ...none, ...Object.fromEntries(counts) },
    rows,
  };
}

async function record(
  { db }: OnlineDependencies,
  { project, view, sample, seed, principal }: VerifyOnline,
  { revision, generation, snapshot, watermark }: Generation,
  { rows, ...compared }: Compared,
): Promise<OnlineVerified> {
  const id = activityInfo().workflowExecution?.runId ?? randomUUID();
  const differing = Object.values(compared.counts).reduce((sum, count) => sum + count, 0);
  const verified: OnlineVerified = {
    ...{ id, view, revision, generation, snapshot, watermark, sample: sample ?? null, seed },
    ...{ ...compared, differing, repaired: 0 },
  };
  await db.transaction(async (tx) => {
    // A key may have been erased since it was read.
    const kept = await withoutErased(tx, project, view, rows);
    const report: OnlineReport = { ...verified, differences: kept.slice(0, shownMax).map((row) => differenceOf(row)) };
    const mending = kept.map(({ key, online: seen, offline: wanted }) => ({ key, seen, wanted }));
    const mendable = differing <= mendingMax ? mending : null;
    await recordReport(tx, project, report, mendable, currentWorkflowId(), { name: principal });
  });
  return verified;
}

const differenceOf = ({ key, why, features, online, offline }: DifferingRow): OnlineDifference => ({
  ...{ key: JSON.parse(key) as OnlineValue[], why, features, online: shown(online), offline: shown(offline) },
});

function shown(row: TextRow | null): OnlineDifference['online'] {
  return row && { eventTime: fromMicros(row.eventMicros), values: valuesOf(row.features) };
}

/** What somebody wrote over it need not be JSON. */
function valuesOf(text: string): OnlineValue[] {
  try {
    const values: unknown = JSON.parse(text);
    return Array.isArray(values) ? (values as OnlineValue[]) : [text];
  } catch {
    return [text];
  }
}
