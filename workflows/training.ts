import {
  CancellationScope,
  executeChild,
  isCancellation,
  proxyActivities,
  rootCause,
  startChild,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import { workflowIds } from '../domain/ids.js';
import type { TrainedModelSummary, TrainModel } from '../domain/training.js';
import { deployVersion } from './deployment.js';
import { evaluateRun } from './evaluation.js';
import { failureCode } from './failures.js';
import { report } from './progress.js';
import { detached, steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

/** From a training set to a version that serves: every step is recorded under the run, so a repeat goes on where it stopped. */
export async function trainModel(input: TrainModel): Promise<TrainedModelSummary> {
  const { project, model, asOf, principal } = input;
  const reporter = report(`Train ${model} as of ${asOf}`, { project, resource: `Model/${model}`, asOf });
  try {
    const { run } = await safe.openRun(input);
    reporter.stage('dataset', 'point-in-time join');
    const set = await long.buildTrainingSet(input);
    reporter.stage('train', `${set.rows} rows of ${set.name}`);
    await safe.attachTrainingSet({ project, run, trainingSet: set.name });
    await long.fit.executeWithOptions({ summary: `${model}, ${set.rows} rows` }, [{ project, run, principal }]);
    reporter.stage('evaluate', 'candidate and champion on the held-out rows');
    const evaluation = await executeChild(evaluateRun, {
      args: [{ project, run, model, principal }],
      workflowId: workflowIds.evaluate(project, run),
      staticSummary: `Evaluate run ${run.slice(0, 8)} of ${model}`,
    });
    reporter.verdict(evaluation.verdict);
    const { version } = await safe.registerVersion({ project, run, principal });
    const outcome = { run, trainingSet: set.name, version, verdict: evaluation.verdict, reasons: evaluation.reasons };
    if (evaluation.verdict !== 'promote' || evaluation.endpoint === null) {
      reporter.stage('done', `version ${version}: ${evaluation.verdict}`);
      return { ...outcome, rollout: null };
    }
    reporter.stage('roll out', `version ${version} to ${evaluation.endpoint}`);
    const workflowId = workflowIds.deploy(project, evaluation.endpoint, version, asOf);
    const rollout = await startChild(deployVersion, {
      args: [
        {
          project,
          endpoint: evaluation.endpoint,
          model,
          version,
          asOf,
          reason: evaluation.reasons.join('; '),
          principal,
        },
      ],
      workflowId,
      ...detached,
      staticSummary: `Roll out ${model} version ${version} to ${evaluation.endpoint}`,
    });
    await rollout.result();
    reporter.stage('done', `version ${version} serves ${evaluation.endpoint}`);
    return { ...outcome, rollout: workflowId };
  } catch (error) {
    const cause = rootCause(error) ?? String(error);
    const status = isCancellation(error) ? 'cancelled' : 'failed';
    await CancellationScope.nonCancellable(() =>
      safe.endRun({ ...input, status, code: failureCode(error), detail: cause }),
    );
    throw error;
  }
}
