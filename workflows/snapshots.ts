import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { CollectGarbage, Collected, Compacted, CompactTable } from '../domain/snapshots.js';
import { failureCode } from './failures.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

const replanMax = 10;

/** Few larger files take the place of many small ones; no snapshot changes by it, and readers go on meanwhile. */
export async function compactTable(input: CompactTable): Promise<Compacted> {
  const { project, schema, name, revision } = input;
  const reporter = report(`Compact ${schema}/${name}@r${revision}`, { project, resource: `FeatureView/${name}` });
  reporter.stage('plan', 'looking for small files that lie next to each other');
  let plan = await safe.planCompaction(input);
  const total = { filesBefore: plan.files, written: 0, rows: 0, bytes: 0 };
  for (let round = 0; plan.runs.length > 0; round++) {
    let moved = false;
    for (const [at, run] of plan.runs.entries()) {
      reporter.stage('compact', `${run.files} files from ${run.first.slice(0, 10)}`, at, plan.runs.length);
      try {
        const summary = `${run.files} files from ${run.first.slice(0, 10)}`;
        const made = await long.compactWindows.executeWithOptions({ summary }, [{ ...input, run }]);
        total.written += 1;
        total.rows += made.rows;
        total.bytes += made.bytes;
      } catch (error) {
        // A window was committed meanwhile: what is left is planned again.
        if (failureCode(error) !== 'generation_moved' || round === replanMax) throw error;
        moved = true;
      }
    }
    if (!moved) break;
    plan = await safe.planCompaction(input);
  }
  const { files: filesAfter, more } = await safe.planCompaction(input);
  const left = more > 0 ? `, ${more} more runs are left for the next time` : '';
  const reason =
    total.written === 0 ? 'no small files lie next to each other' : `${total.written} files written${left}`;
  reporter.stage('done', `${total.filesBefore} files became ${filesAfter}: ${reason}`);
  return { ...total, filesAfter, reason };
}

/**
 * Removes what no reader, training set, run or retention needs any more: marked first, so that nobody finds it, then deleted,
 * so that whoever dies in between leaves work for the next collection and no wrong answer.
 */
export async function collectGarbage(input: CollectGarbage): Promise<Collected> {
  const { project, principal, keep, dryRun } = input;
  const reporter = report(`Collect garbage of ${project}`, { project, resource: `Project/${project}` });
  reporter.stage('mark', `what was replaced more than ${keep} ago and nobody needs`);
  const marked = await long.markGarbage(input);
  if (!dryRun) {
    reporter.stage('delete', `${marked.snapshots.files + marked.compactions.files} files`);
    await long.deleteGarbage(input);
  }
  reporter.stage('sweep', 'what attempts left behind');
  const swept = await long.sweepOrphans(input);
  const collected = { dryRun, keep, ...marked, ...swept };
  if (!dryRun) await safe.recordCollection({ project, principal, ...collected });
  const { files, bytes } = [marked.snapshots, marked.compactions, swept.orphans, swept.scratch].reduce((sum, one) => ({
    files: sum.files + one.files,
    bytes: sum.bytes + one.bytes,
  }));
  reporter.stage('done', `${files} files, ${bytes} bytes ${dryRun ? 'would go' : 'removed'}`);
  return collected;
}
