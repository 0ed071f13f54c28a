import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { executeChild, proxyActivities, sleep } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import { workflowIds } from '../domain/ids.js';
import type { Refreshed, RefreshView } from '../domain/refresh.js';
import { materializeView } from './features.js';
import { publishView } from './online.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

/** Brings a view up to date with its sources and shows it online: materialize, then publish, one at a time a view. */
export async function refreshView(input: RefreshView): Promise<Refreshed> {
  const { project, view, revision, end, principal } = input;
  const reporter = report(`Refresh ${view}@r${revision}`, { project, resource: `FeatureView/${view}` });
  reporter.stage('plan', 'looking for the first row');
  const { start } = input.start === null ? await long.refreshStart(input) : { start: input.start };
  const nothing = { view, revision, start, end, materialized: null, published: null };
  if (start === null || start >= end) {
    reporter.stage('done', 'the sources have no row before the end');
    return nothing;
  }
  reporter.stage('materialize', `${start} to ${end}`);
  const materialized = await whenFree(() =>
    executeChild(materializeView, {
      workflowId: workflowIds.materialize(project, view, revision, start, end),
      args: [{ project, view, revision, start, end, principal, publish: false }],
      staticSummary: `Materialize ${view}@r${revision}`,
      parentClosePolicy: 'REQUEST_CANCEL',
    }),
  );
  if (!(await safe.replacesLive({ project, view, revision }))) {
    reporter.stage(
      'done',
      'not published: the revision that is live reaches further than what is materialized of this one',
    );
    return { ...nothing, materialized };
  }
  reporter.stage('publish', `snapshot ${materialized.snapshot}`);
  const published = await whenFree(() =>
    executeChild(publishView, {
      workflowId: workflowIds.publish(project, view),
      args: [{ project, view, revision, principal }],
      staticSummary: `Publish ${view}@r${revision}`,
      parentClosePolicy: 'REQUEST_CANCEL',
    }),
  );
  reporter.stage('done', `generation ${published.generation} is live with ${published.rows} rows`);
  return { ...nothing, materialized, published };
}

/** Somebody else may do the same work already. It began before us, so what it does may be short of ours: wait, then do it. */
async function whenFree<Result>(start: () => Promise<Result>): Promise<Result> {
  for (let waitMs = 200; ; waitMs = Math.min(waitMs * 2, 30_000)) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      await sleep(waitMs);
    }
  }
}
