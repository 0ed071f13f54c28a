import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { EvaluateRun, EvaluatedRun } from '../domain/training.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const long = proxyActivities<Activities>(steps.heartbeating);

/** Candidate and champion on the same held-out rows; the activity commits the verdict with its reasons. */
export async function evaluateRun(input: EvaluateRun): Promise<EvaluatedRun> {
  const reporter = report(`Evaluate run ${input.run.slice(0, 8)}`, {
    project: input.project,
    resource: `Model/${input.model}`,
  });
  reporter.stage('evaluate', 'scoring the held-out rows');
  const evaluated = await long.evaluate(input);
  reporter.verdict(evaluated.verdict);
  reporter.stage(evaluated.verdict, evaluated.reasons.join('; '));
  return evaluated;
}
