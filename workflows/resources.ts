import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { CheckResources, Problem } from '../domain/check.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const once = proxyActivities<Activities>({ ...steps.repeatable, retry: { maximumAttempts: 3 } });

/** Looks at sources and SQL where they will run, before anything is applied. */
export async function checkResources(input: CheckResources): Promise<Problem[]> {
  const reporter = report('Check resources', {
    project: input.project,
    resource: `${input.resources.length} resources`,
  });
  reporter.stage('check', `${input.resources.length} resources`);
  const problems = await once.checkResources(input);
  reporter.stage('done', `${problems.length} problems`);
  return problems;
}
