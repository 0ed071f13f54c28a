import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { ExplainInput, Explanation } from '../domain/explanation.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const once = proxyActivities<Activities>({ ...steps.repeatable, retry: { maximumAttempts: 3 } });

/** Says why a feature has the value that it has, by reading what the value was made of. */
export async function explainValue(input: ExplainInput): Promise<Explanation> {
  const { project, view, revision, feature } = input;
  const reporter = report(`Explain ${view}:${feature}`, { project, resource: `FeatureView/${view}`, asOf: input.at });
  reporter.stage('explain', `${view}@r${revision}`);
  const explanation = await once.explainValue(input);
  reporter.stage('done', `${explanation.status} in snapshot ${explanation.snapshot}`);
  return explanation;
}
