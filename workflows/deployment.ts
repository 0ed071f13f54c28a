import { CancellationScope, isCancellation, proxyActivities, rootCause, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { CommitLog, CommittedLog, Deployed, DeployVersion, Scored, ScoreWindow } from '../domain/deployment.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const waiting = proxyActivities<Activities>(steps.waiting);
const long = proxyActivities<Activities>(steps.heartbeating);

/** Announces a version, waits until every live instance is ready with it, then switches all traffic at once. */
export async function deployVersion(input: DeployVersion): Promise<Deployed> {
  const { project, endpoint, model, version, principal } = input;
  const reporter = report(`Roll out ${model} version ${version}`, {
    project,
    resource: `Endpoint/${endpoint}`,
    asOf: input.asOf,
  });
  const rollout = workflowInfo().workflowId;
  try {
    reporter.stage('announce', 'instances load the version and check its golden rows');
    await safe.announceRollout({ ...input, rollout });
    const { instances } = await waiting.awaitInstances({ project, rollout });
    reporter.stage('shift', `${instances} instances are ready`);
    const { generation } = await safe.shiftTraffic({ project, rollout, reason: input.reason, principal });
    reporter.stage('done', `generation ${generation} serves version ${version}`);
    return { rollout, version, generation, instances };
  } catch (error) {
    const status = isCancellation(error) ? 'cancelled' : 'failed';
    await CancellationScope.nonCancellable(() =>
      safe.closeRollout({ project, rollout, status, reason: rootCause(error) ?? String(error) }),
    );
    throw error;
  }
}

/** Predicts a window of the spine with the version that serves, and commits the predictions like any window. */
export async function scoreWindow(input: ScoreWindow): Promise<Scored> {
  const reporter = report(`Score ${input.start.slice(0, 10)} to ${input.end.slice(0, 10)}`, {
    project: input.project,
    resource: `Endpoint/${input.endpoint}`,
    asOf: input.asOf,
  });
  reporter.stage('score', 'features as of each event, then the model');
  const scored = await long.scoreWindow(input);
  reporter.stage('done', `${scored.rows} rows by version ${scored.version}`);
  return scored;
}

/** Commits what was asked and answered in a range, online and in batch, as one table: a window a day. */
export async function commitInferenceLog(input: CommitLog): Promise<CommittedLog> {
  const { project, endpoint } = input;
  const reporter = report(`Inference log of ${endpoint}`, { project, resource: `Endpoint/${endpoint}` });
  reporter.stage('commit', `${input.start.slice(0, 10)} to ${input.end.slice(0, 10)}`);
  const log = await long.commitInferenceLog(input);
  reporter.stage('done', `${log.committed} of ${log.windows} windows, ${log.rows} rows`);
  return log;
}
