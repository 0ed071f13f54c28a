import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { Materialized, MaterializeView } from '../domain/features.js';
import { failureCode } from './failures.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

/** Enough to share one query's cost, few enough that a killed worker repeats little. */
const windowsPerActivity = 26;
const activitiesAtOnce = 2;
const replanMax = 10;

/** Brings a view's windows up to date with their sources: only what changed is computed, each window is committed once. */
export async function materializeView(input: MaterializeView): Promise<Materialized> {
  const { project, view, revision } = input;
  const reporter = report(`Materialize ${view}@r${revision}`, { project, resource: `FeatureView/${view}` });
  const total = { committed: 0, rows: 0, bytes: 0, reason: '' };
  for (let round = 0; ; round++) {
    reporter.stage('plan', 'comparing the source with the ledger');
    const plan = await long.planWindows(input);
    total.reason ||= plan.reason;
    const batches = chunks(plan.windows, windowsPerActivity);
    let done = 0;
    reporter.stage('materialize', plan.reason, done, plan.windows.length);
    try {
      await inParallel(activitiesAtOnce, batches, async (windows) => {
        const first = windows[0]?.start.slice(0, 10);
        const made = await long.materializeWindows.executeWithOptions(
          { summary: `${windows.length} windows from ${first}` },
          [{ ...input, windows, sourceVersion: plan.sourceVersion }],
        );
        done += windows.length;
        total.committed += made.committed;
        total.rows += made.rows;
        total.bytes += made.bytes;
        reporter.stage('materialize', plan.reason, done, plan.windows.length);
      });
    } catch (error) {
      if (!planIsStale(error) || round === replanMax) throw error;
      continue;
    }
    const { snapshot } = await safe.tableState({ project, schema: 'features', name: view, revision });
    reporter.stage(
      'done',
      `${total.committed} of ${plan.total} windows committed, snapshot ${snapshot}`,
      plan.total,
      plan.total,
    );
    return { ...total, windows: plan.total, unchanged: plan.total - plan.windows.length, snapshot };
  }
}

/**
 * The plan no longer fits the source, or somebody else committed a window of it: nothing wrong was committed, and planning
 * again finds what is left to do.
 */
const planIsStale = (error: unknown): boolean => ['source_changed', 'generation_moved'].includes(failureCode(error));

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

/** When one item fails the others under way are awaited, so that nothing of this round is left beside the next. */
async function inParallel<Item>(
  lanes: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}
