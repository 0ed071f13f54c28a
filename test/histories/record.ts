import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { projectRoot } from '../../apps/config.js';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { runIdOf } from '../../domain/training.js';
import { until } from '../../programs/waiting.js';
import { tableState } from '../../store/snapshots.js';
import { dayOf, eventResources, eventsSql, type EventResources } from '../support/events.js';
import { hangingTrainer } from '../support/hanging.js';
import { serveInstance } from '../support/instance.js';
import { withWorld, type World } from '../support/world.js';

/**
 * Records how every workflow runs, fails and is cancelled, for test/workflows/replay.test.ts. By hand, after a change of
 * workflows/ that `patched()` cannot carry, and before a release:
 *
 *     NODE_OPTIONS=--experimental-vm-modules npx jest --testMatch '**\/test/histories/record.ts'
 */

const folder = join(projectRoot, 'test', 'histories');
const days = 58;
const all = { start: dayOf(1), end: dayOf(days + 1) };
const who = { principal: 'ann' };
const trigger = { kind: 'manual' as const };

let world: World;
let path: string;

/** Names of this machine, which must not be in a file that is published. */
const published = (text: string): string =>
  text.replaceAll(world.home, '/home/eider').replaceAll(projectRoot, '/eider').replaceAll(hostname(), 'host');

function scrubbed(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((inner) => scrubbed(inner));
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, scrubbed(inner, name)]));
  if (typeof value !== 'string') return value;
  if (key === 'stackTrace') return '';
  if (key === 'identity') return 'worker';
  if (key !== 'data') return published(value);
  return Buffer.from(published(Buffer.from(value, 'base64').toString())).toString('base64');
}

/** Keeps the history of a workflow that has ended. */
async function keep(name: string, handle: Pick<WorkflowHandle, 'workflowId' | 'result' | 'fetchHistory'>): Promise<void> {
  await handle.result().catch(() => undefined);
  const history = scrubbed(JSON.parse(JSON.stringify(await handle.fetchHistory())));
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify({ workflowId: handle.workflowId, history })}\n`);
}

const keepId = (name: string, workflowId: string) => keep(name, world.client.workflow.getHandle(workflowId));

async function keepCancelled(name: string, handle: WorkflowHandle, underway: () => Promise<boolean>): Promise<void> {
  if (!(await until(underway, 30_000, { everyMs: 5 }))) throw new Error(`${name} never got under way.`);
  await handle.cancel();
  await keep(name, handle);
}

const scheduled = (handle: WorkflowHandle) => async () =>
  ((await handle.describe()).raw.pendingActivities ?? []).length > 0;

async function declare(name: string, more: Partial<EventResources> = {}): Promise<ProjectName> {
  const project = name as ProjectName;
  await world.apply(eventResources({ path, ...more }), project);
  return project;
}
const materialize = (project: ProjectName, id = `materialize/${project}`) =>
  world.start('materializeView', id, { ...{ project, view: 'place_day', revision: 1 }, ...all, ...who });
const train = (project: ProjectName, asOf: Instant) =>
  world.start('trainModel', workflowIds.train(project, 'risk', 1, asOf), { ...{ project, model: 'risk', revision: 1, asOf, trigger }, ...who }); // prettier-ignore
const tick = (project: ProjectName, asOf: Instant) =>
  world.start('monitorTick', workflowIds.monitor(project, 'weekly', asOf), { ...{ project, monitor: 'weekly', asOf }, ...who }); // prettier-ignore
const score = (project: ProjectName, number: number, id: string) =>
  world.start('scoreWindow', id, { ...{ project, endpoint: 'risk', asOf: dayOf(57) }, start: dayOf(number), end: dayOf(number + 7), ...who }); // prettier-ignore

beforeAll(async () => {
  world = await withWorld();
  path = await world.write('events.parquet', eventsSql({ days }));
  await mkdir(folder, { recursive: true });
  for (const file of await readdir(folder)) if (file.endsWith('.json')) await rm(join(folder, file));
}, 120_000);
afterAll(() => world.close());

test('what ends well', async () => {
  const project = await declare('happy', { parameters: { second_from: 20010212 } });
  const stop = await serveInstance(world);
  await keep('check-resources', await world.start('checkResources', 'check', { project, resources: eventResources({ path }) }));
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
  await keep('inference-log', await world.start('commitInferenceLog', 'log', { ...{ project, endpoint: 'risk', start: dayOf(15), end: dayOf(29) }, ...who }));
  await stop();
}, 300_000);

test('what fails', async () => {
  const project = await declare('failing');
  await keep('train-failed', await train(project, dayOf(15)));
  await keep('training-set-failed', await world.start('buildTrainingSet', 'set-failed', { ...{ project, model: 'risk', revision: 1, asOf: dayOf(15) }, ...who }));
  await keep('score-failed', await score(project, 15, 'score-failed'));
  await keep('monitor-failed', await tick(project, dayOf(22)));
  await world.apply(eventResources({ path: join(world.home, 'data', 'nothing.parquet') }), 'missing' as ProjectName);
  await keep('materialize-failed', await materialize('missing' as ProjectName));
  await (await materialize(project)).result();
  await world.db.query("UPDATE revisions SET body = jsonb_set(body, '{policy,readyTimeout}', '\"1s\"') WHERE kind = 'Endpoint' AND project = 'failing'");
  // Nobody serves, so the rollout fails, and the run with it.
  await keep('train-rollout-failed', await train(project, dayOf(16)));
  await keepId('deploy-failed', workflowIds.deploy(project, 'risk', 1, dayOf(16)));
}, 300_000);

test('what is cancelled', async () => {
  const quarterly = await declare('quarterly', { window: '6h' });
  const materializing = await materialize(quarterly);
  await keepCancelled('materialize-cancelled', materializing, async () => (await tableState(world.db, { project: quarterly, schema: 'features', name: 'place_day', revision: 1 })).snapshot > 30);
  const project = await declare('cancelled', { parameters: { hang_once: true } });
  await (await materialize(project)).result();
  const training = await train(project, dayOf(15));
  const run = runIdOf({ project, model: 'risk', revision: 1, asOf: dayOf(15) });
  await hangingTrainer(world, run);
  await keepCancelled('train-cancelled', training, async () => true);
  // The second attempt does not hang, but nobody serves.
  const waiting = await train(project, dayOf(15));
  const deployId = workflowIds.deploy(project, 'risk', 1, dayOf(15));
  const deploying = world.client.workflow.getHandle(deployId);
  const announced = async () => (await world.db.query('SELECT 1 FROM rollouts WHERE id = $1', [deployId])).length > 0;
  if (!(await until(announced, 30_000))) throw new Error('The rollout never began.');
  await keepCancelled('deploy-cancelled', deploying as WorkflowHandle, scheduled(deploying as WorkflowHandle));
  await keep('train-rollout-cancelled', waiting);
}, 300_000);
