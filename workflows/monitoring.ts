import { executeChild, isCancellation, proxyActivities, rootCause, workflowInfo } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Activities } from '../activities/index.js';
import { workflowIds, type Instant } from '../domain/ids.js';
import type { MonitorTick, MonitorTicked } from '../domain/monitoring.js';
import { scoreWindow } from './deployment.js';
import { report } from './progress.js';
import { detached, steps } from './steps.js';
import { trainModel } from './training.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

/**
 * One tick: score the window that ended, judge the windows whose labels are known by now, and see the remedy through. The
 * slot's instant is the only clock, so the same code runs live and over the past.
 */
export async function monitorTick({
  project,
  monitor,
  principal,
  asOf = slotInstant(),
}: MonitorTick): Promise<MonitorTicked> {
  const reporter = report(`Monitor ${monitor} at ${asOf}`, { project, resource: `Monitor/${monitor}`, asOf });
  const tick = await safe.planTick({ project, monitor, asOf });
  if (tick.recorded) {
    reporter.stage('done', 'this instant has had its tick');
    return tick.recorded;
  }
  const { endpoint, window, model, revision } = tick;
  reporter.stage('score', `${window.start.slice(0, 10)} to ${window.end.slice(0, 10)}`);
  const score = { project, endpoint, ...window, asOf, once: true, principal };
  const scored = await executeChild(scoreWindow, {
    args: [score],
    workflowId: workflowIds.score(project, endpoint, window.start, window.end),
    staticSummary: `Score ${window.start.slice(0, 10)} for ${endpoint}`,
  }).catch((error: unknown) => {
    // Somebody scores the window by hand: the step itself is recorded once, whoever takes it.
    if (error instanceof WorkflowExecutionAlreadyStartedError) return long.scoreWindow(score);
    throw error;
  });
  reporter.stage('judge', 'drift of the window, and metrics of the windows whose labels are known');
  const judged = await long.judgeTick({ project, monitor, asOf, principal, workflowId: workflowInfo().workflowId });
  const ticked = {
    asOf,
    version: scored.version,
    rows: scored.rows,
    judged: judged.windows,
    breached: judged.breached,
    reasons: judged.reasons,
    alert: judged.alert,
  };
  reporter.verdict(judged.breached ? 'breached' : 'clear');
  if (!judged.retrain || judged.alert === null) {
    reporter.stage('done', judged.reasons.join('; ') || 'nothing breached');
    return { ...ticked, retraining: null };
  }
  reporter.stage('retrain', judged.reasons.join('; '));
  const retraining = workflowIds.train(project, model, revision, asOf);
  const trained = await executeChild(trainModel, {
    args: [{ project, model, revision, asOf, trigger: { kind: 'alert', monitor, alert: judged.alert }, principal }],
    workflowId: retraining,
    ...detached,
    staticSummary: `Retrain ${model} because of alert ${judged.alert}`,
  }).catch((error: unknown) => {
    // The alert stays open with the reason; the next tick must not find this one failed.
    if (isCancellation(error)) throw error;
    return { failure: rootCause(error) ?? String(error) };
  });
  const remedy = { project, monitor, alert: judged.alert, asOf, workflowId: retraining, principal };
  const { outcome } = await safe.recordRemedy(
    'failure' in trained ? { ...remedy, trained: null, ...trained } : { ...remedy, trained },
  );
  reporter.stage('done', outcome);
  return { ...ticked, retraining };
}

/** The instant that the schedule meant, not the one at which a worker got round to it. */
function slotInstant(): Instant {
  const [slot] = (workflowInfo().searchAttributes['TemporalScheduledStartTime'] ?? []) as (Date | string)[];
  const at = slot === undefined ? workflowInfo().startTime : new Date(slot);
  return at.toISOString().replace('Z', '000Z') as Instant;
}
