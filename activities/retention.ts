import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '../domain/failpoints.js';
import { durationMicros } from '../domain/instants.js';
import { uploads } from '../domain/spines.js';
import type { Amount, CollectGarbage, Collected, Kept } from '../domain/snapshots.js';
import { recordAudit } from '../store/db.js';
import { dropExpiredLeases } from '../store/leases.js';
import {
  endedRuns,
  instantBefore,
  markedFiles,
  markTable,
  noteDeleted,
  tablesWithHistory,
} from '../store/retention.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { attemptMs, orphansOf } from './orphans.js';

export type RetentionDependencies = Pick<Dependencies, 'db' | 'lake' | 'artifacts' | 'scratch' | 'trainers'>;

export type MarkedGarbage = Pick<Collected, 'before' | 'snapshots' | 'compactions' | 'pushedRows' | 'kept'>;
export type Swept = Pick<Collected, 'orphans' | 'scratch'>;

const none: Amount = { files: 0, bytes: 0 };
const plus = (a: Amount, b: Amount): Amount => ({ files: a.files + b.files, bytes: a.bytes + b.bytes });

export const retentionActivities = (dependencies: RetentionDependencies) => ({
  /** Marks what nobody needs, table by table; what is marked already is not counted again. */
  markGarbage: (input: CollectGarbage): Promise<MarkedGarbage> =>
    beating((_signal, beat) => mark(dependencies, input, beat)),

  /** Deletes what is marked, also by a collection that died; a repeat deletes the rest. */
  deleteGarbage: ({ project }: CollectGarbage): Promise<void> =>
    beating(async (_signal, beat) => {
      const { db, lake } = dependencies;
      await failpoint('collect.before_delete');
      for (let keys = await markedFiles(db, project, batchMax); keys.length > 0;) {
        for (const key of keys) await lake.remove(key);
        await noteDeleted(db, project, keys);
        beat({ deleted: keys.length });
        keys = await markedFiles(db, project, batchMax);
      }
    }),

  /** Removes what attempts left behind that ended long ago; a repeat finds less. */
  sweepOrphans: (input: CollectGarbage): Promise<Swept> => beating(() => sweep(dependencies, input)),

  async recordCollection({ project, principal, ...report }: Collected & Pick<CollectGarbage, 'project' | 'principal'>) {
    await recordAudit(dependencies.db, project, { name: principal }, 'collected garbage', `gc/${project}`, report);
  },
});

const batchMax = 1_000;
const keptMax = 100;

async function mark(
  { db }: RetentionDependencies,
  { project, keep, dryRun }: CollectGarbage,
  beat: (details: unknown) => void,
): Promise<MarkedGarbage> {
  await dropExpiredLeases(db, project);
  const before = await instantBefore(db, durationMicros(keep));
  const total = { snapshots: none, compactions: none, pushedRows: 0 };
  const kept: Kept[] = [];
  for (const table of await tablesWithHistory(db, project)) {
    const marked = await markTable(db, table, { before, by: currentWorkflowId(), dryRun });
    total.snapshots = plus(total.snapshots, marked.files);
    total.compactions = plus(total.compactions, marked.compactions);
    total.pushedRows += marked.pushedRows;
    kept.push(...marked.kept);
    beat({ table: table.name });
  }
  kept.sort((a, b) => b.bytes - a.bytes);
  return { before, ...total, kept: kept.slice(0, keptMax) };
}

const stagedCopy = /\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

async function sweep(dependencies: RetentionDependencies, { project, dryRun }: CollectGarbage): Promise<Swept> {
  const { db, lake, artifacts, scratch, trainers } = dependencies;
  const until = Date.now() - attemptMs;
  let orphans = none;
  for (const { key, bytes } of await orphansOf(dependencies, project, ({ modifiedMs }) => modifiedMs < until)) {
    if (!dryRun) await lake.remove(key);
    orphans = plus(orphans, { files: 1, bytes });
  }
  let left = none;
  // What a copy into the artifacts did not finish, and what was uploaded and no worker took; that lies in no project.
  const copies = (await artifacts.list(project)).filter(({ key }) => stagedCopy.test(key));
  for (const { key, bytes, modifiedMs } of [...copies, ...(await artifacts.list(uploads))]) {
    if (modifiedMs >= until) continue;
    if (!dryRun) await artifacts.remove(key);
    left = plus(left, { files: 1, bytes });
  }
  const oldRuns = await oldEntries(trainers.work, until);
  const gone = new Set(await endedRuns(db, oldRuns));
  const folders = oldRuns.filter((run) => gone.has(run)).map((run) => join(trainers.work, run));
  for (const path of [...folders, ...(await oldEntries(scratch, until)).map((name) => join(scratch, name))]) {
    left = plus(left, await sizeOf(path));
    if (!dryRun) await rm(path, { recursive: true, force: true });
  }
  return { orphans, scratch: left };
}

/** Names in a folder that nobody has touched for long. */
async function oldEntries(folder: string, until: number): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const times = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => null)));
  return names.filter((_, at) => (times[at]?.mtimeMs ?? Infinity) < until);
}

async function sizeOf(path: string): Promise<Amount> {
  const found = await stat(path).catch(() => null);
  if (!found?.isDirectory()) return found ? { files: 1, bytes: found.size } : none;
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map((file) => stat(join(file.parentPath, file.name)).catch(() => null)));
  return { files: files.length, bytes: sizes.reduce((sum, one) => sum + (one?.size ?? 0), 0) };
}
