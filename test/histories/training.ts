import { join } from 'node:path';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { runIdOf } from '../../domain/training.js';
import { dayOf, eventResources } from '../support/events.js';
import { hangingTrainer } from '../support/hanging.js';
import { serveInstance } from '../support/instance.js';
import type { World } from '../support/world.js';
import { reached, scheduled, who, type Recorder } from './recorder.js';

/** Histories of training, evaluation, rollouts, scoring and monitoring. */

const trigger = { kind: 'manual' as const };

const works = (world: World) => ({
  train: (project: ProjectName, asOf: Instant) =>
    world.start('trainModel', workflowIds.train(project, 'risk', 1, asOf), { ...{ project, model: 'risk', revision: 1, asOf, trigger }, ...who }), // prettier-ignore
  tick: (project: ProjectName, asOf: Instant) =>
    world.start('monitorTick', workflowIds.monitor(project, 'weekly', asOf), { ...{ project, monitor: 'weekly', asOf }, ...who }), // prettier-ignore
  score: (project: ProjectName, number: number, id: string) =>
    world.start('scoreWindow', id, { ...{ project, endpoint: 'risk', asOf: dayOf(57) }, start: dayOf(number), end: dayOf(number + 7), ...who }), // prettier-ignore
});

export async function training({ world, path, keep, keepId, declare, materialize }: Recorder): Promise<void> {
  const { train, tick, score } = works(world);
  const project = await declare('happy', { parameters: { second_from: 20010212 } });
  const stop = await serveInstance(world);
  await keep('check-resources', await world.start('checkResources', 'check', { project, resources: eventResources({ path }) })); // prettier-ignore
  await keep('materialize', await materialize(project));
  await keep('materialize-nothing-to-do', await materialize(project));
  await keep('train-promoted', await train(project, dayOf(15)));
  const run = { project, model: 'risk', revision: 1, asOf: dayOf(15) };
  await keep('training-set', await world.start('buildTrainingSet', 'set', { ...run, ...who }));
  await keepId('evaluate', workflowIds.evaluate(project, runIdOf(run)));
  await keepId('deploy', workflowIds.deploy(project, 'risk', 1, dayOf(15)));
  await keep('score', await score(project, 15, 'score'));
  for (const number of [22, 29, 36]) await (await tick(project, dayOf(number))).result();
  await keep('monitor-retrained', await tick(project, dayOf(43)));
  await keep('monitor-clear', await tick(project, dayOf(50)));
  await keep('monitor-again', await tick(project, dayOf(50)));
  await keep('inference-log', await world.start('commitInferenceLog', 'log', { ...{ project, endpoint: 'risk', start: dayOf(15), end: dayOf(29) }, ...who })); // prettier-ignore
  await stop();
}

export async function failedTraining({ world, keep, keepId, declare, materialize }: Recorder): Promise<void> {
  const { train, tick, score } = works(world);
  const project = await declare('failing');
  await keep('train-failed', await train(project, dayOf(15)), 'FAILED');
  await keep('training-set-failed', await world.start('buildTrainingSet', 'set-failed', { ...{ project, model: 'risk', revision: 1, asOf: dayOf(15) }, ...who }), 'FAILED'); // prettier-ignore
  await keep('score-failed', await score(project, 15, 'score-failed'), 'FAILED');
  await keep('monitor-failed', await tick(project, dayOf(22)), 'FAILED');
  const missing = await declare('missing', { path: join(world.home, 'data', 'nothing.parquet') });
  await keep('materialize-failed', await materialize(missing), 'FAILED');
  await (await materialize(project)).result();
  await world.db.query("UPDATE revisions SET body = jsonb_set(body, '{policy,readyTimeout}', '\"1s\"') WHERE kind = 'Endpoint' AND project = 'failing'"); // prettier-ignore
  // Nobody serves, so the rollout fails, and the run with it.
  await keep('train-rollout-failed', await train(project, dayOf(16)), 'FAILED');
  await keepId('deploy-failed', workflowIds.deploy(project, 'risk', 1, dayOf(16)), 'FAILED');
}

export async function cancelledTraining({ world, keep, keepCancelled, declare, materialize }: Recorder): Promise<void> {
  const { train } = works(world);
  const project = await declare('cancelled', { parameters: { hang_once: true } });
  await (await materialize(project)).result();
  const hanging = await train(project, dayOf(15));
  const run = runIdOf({ project, model: 'risk', revision: 1, asOf: dayOf(15) });
  await hangingTrainer(world, run);
  await keepCancelled('train-cancelled', hanging, async () => true);
  // The second attempt does not hang, but nobody serves.
  const waiting = await train(project, dayOf(15));
  const deployId = workflowIds.deploy(project, 'risk', 1, dayOf(15));
  await reached('a rollout', async () => (await world.db.query('SELECT 1 FROM rollouts WHERE id = $1', [deployId])).length > 0); // prettier-ignore
  const deploying = world.client.workflow.getHandle(deployId);
  await keepCancelled('deploy-cancelled', deploying, scheduled(deploying));
  await keep('train-rollout-cancelled', waiting, 'FAILED');
}
