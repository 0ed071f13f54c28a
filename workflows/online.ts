import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { CancellationScope, proxyActivities, sleep, startChild } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type {
  Flushed,
  FlushPushes,
  OnlineVerified,
  Published,
  PublishView,
  VerifyOnline,
} from '../domain/publishing.js';
import { workflowIds } from '../domain/ids.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

/** Writes a new generation of the view beside the live one and flips to it; readers see the one or the other, always whole. */
export async function publishView(input: PublishView): Promise<Published> {
  const { project, view, revision, principal } = input;
  const reporter = report(`Publish ${view}@r${revision}`, { project, resource: `FeatureView/${view}` });
  reporter.stage('hand over', 'what was pushed to other revisions and this one can read');
  const handedOver = await long.takeOverPushes(input);
  reporter.stage('plan', 'pinning the snapshot and what was pushed');
  const plan = await safe.planPublish({ ...input, handedOver });
  const what = `generation ${plan.generation} from snapshot ${plan.snapshot} as of ${plan.watermark}`;
  try {
    reporter.stage('load', what);
    const { rows, rowHash } = await long.loadPublished.executeWithOptions({ summary: what }, [
      { project, id: plan.id },
    ]);
    reporter.stage('flip', `${rows} rows; rows that were pushed meanwhile are written again`);
    const { generation: _, ...flip } = await long.flipPublished({ project, id: plan.id, principal });
    await safe.dropRetired({ project, view });
    const left = flip.left > 0 ? `; ${flip.left} that were pushed to other revisions stay with those` : '';
    const replayed = `${flip.replayed} written again`;
    reporter.stage('done', `generation ${plan.generation} is live with ${rows} rows, ${replayed}${left}`);
    const { generation, snapshot, watermark } = plan;
    return { view, revision, generation, snapshot, watermark, rows, rowHash, ...flip };
  } catch (error) {
    // What was loaded and will never be live.
    await CancellationScope.nonCancellable(() => safe.dropRetired({ project, view }));
    throw error;
  }
}

/**
 * After a materialization: starts the publish of a view that is to be shown online by itself, unless its newest snapshot was
 * shown already. One that is under way may have pinned an older snapshot, so its end is waited for.
 */
export async function publishCommitted({ project, view, revision, principal }: PublishView): Promise<boolean> {
  for (let waitMs = 200; ; waitMs = Math.min(waitMs * 2, 30_000)) {
    if (!(await safe.isShownOnline({ project, view, revision }))) return false;
    try {
      await startChild(publishView, {
        workflowId: workflowIds.publish(project, view),
        args: [{ project, view, revision, principal }],
        staticSummary: `Publish ${view}@r${revision}`,
        parentClosePolicy: 'ABANDON',
      });
      return true;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      await sleep(waitMs);
    }
  }
}

/** Moves pushed rows that wait into commits; joins read them before and after. */
export async function flushPushes(input: FlushPushes): Promise<Flushed> {
  const { project, view } = input;
  const reporter = report(`Flush what was pushed to ${view}`, { project, resource: `FeatureView/${view}` });
  reporter.stage('flush', 'committing the windows that pushed rows lie in');
  const flushed = await long.flushPushes(input);
  reporter.stage('done', `${flushed.rows} rows in ${flushed.windows} windows`);
  return flushed;
}

/** Holds the online rows of a view against the offline answer at their watermark, and mends them when it is asked to. */
export async function verifyOnline(input: VerifyOnline): Promise<OnlineVerified> {
  const { project, view, sample, repair } = input;
  const reporter = report(`Verify ${view} online`, { project, resource: `FeatureView/${view}` });
  reporter.stage('compare', sample === undefined ? 'all keys' : `${sample} keys`);
  const found = await long.compareOnline(input);
  if (repair && found.differing > 0) {
    reporter.stage('repair', `${found.differing} keys`);
    const repaired = await long.repairOnline({ project, view, id: found.id, principal: input.principal });
    reporter.verdict('repaired');
    reporter.stage('done', `${found.differing} of ${found.compared} keys differed, ${repaired.repaired} were repaired`);
    return repaired;
  }
  reporter.verdict(found.differing === 0 ? 'consistent' : 'different');
  reporter.stage('done', `${found.differing} of ${found.compared} keys differ`);
  return found;
}
