import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import { projectRoot } from '../../apps/config.js';
import type { MaterializeView } from '../../domain/features.js';
import type { ProjectName } from '../../domain/ids.js';
import { until } from '../../programs/waiting.js';
import { dayOf, eventResources, eventsSql, type EventResources } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** Keeps histories of workflows, without the names of the machine that they were recorded on. */

const folder = join(projectRoot, 'test', 'histories');
export const days = 58;
export const all = { start: dayOf(1), end: dayOf(days + 1) };
export const who = { principal: 'ann' };

export type Recorder = Awaited<ReturnType<typeof openRecorder>>;
type Kept = Pick<WorkflowHandle, 'workflowId' | 'result' | 'describe' | 'fetchHistory'>;
type Ending = 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'CONTINUED_AS_NEW';

/** Removes what was recorded before: what is not recorded anew is not kept. */
export async function openRecorder() {
  const world = await withWorld();
  const path = await world.write('events.parquet', eventsSql({ days }));
  await mkdir(folder, { recursive: true });
  for (const file of await readdir(folder)) if (file.endsWith('.json')) await rm(join(folder, file));

  /** Waits until the workflow has ended, as it should, and keeps its history. */
  async function keep(name: string, handle: Kept, ending: Ending = 'COMPLETED'): Promise<void> {
    const cause: unknown = await handle.result().catch((error: unknown) => error);
    const { status } = await handle.describe();
    if (status.name !== ending) throw new Error(`${name} has ended as ${status.name}, not as ${ending}.`, { cause });
    const history = scrubbed(JSON.parse(JSON.stringify(await handle.fetchHistory())), published(world));
    await writeFile(join(folder, `${name}.json`), `${JSON.stringify({ workflowId: handle.workflowId, history })}\n`);
  }
  return {
    ...{ world, path, keep },
    keepId: (name: string, workflowId: string, ending?: Ending) =>
      keep(name, world.client.workflow.getHandle(workflowId), ending),
    /** Ends it once it is under way, by a cancellation of Temporal's when nothing else is said. */
    async keepCancelled(
      name: string,
      handle: WorkflowHandle<Workflow>,
      underway: () => Promise<boolean>,
      cancel: () => Promise<unknown> = () => handle.cancel(),
    ): Promise<void> {
      await reached(`${name} is under way`, underway);
      await cancel();
      await keep(name, handle, 'CANCELLED');
    },
    async declare(name: string, more: Partial<EventResources> = {}): Promise<ProjectName> {
      const project = name as ProjectName;
      await world.apply(eventResources({ path, ...more }), project);
      return project;
    },
    materialize(project: ProjectName, more: Partial<MaterializeView> = {}) {
      const input = { project, view: 'place_day', revision: 1, ...all, ...who, ...more };
      return world.start('materializeView', `materialize/${project}`, input);
    },
  };
}

export async function reached(what: string, condition: () => Promise<boolean>): Promise<void> {
  if (!(await until(condition, 30_000, { everyMs: 5 }))) throw new Error(`It never came to this: ${what}.`);
}

/** Whether a step of the workflow is under way or waits to be. */
export const scheduled = (handle: WorkflowHandle<Workflow>) => async () =>
  ((await handle.describe()).raw.pendingActivities ?? []).length > 0;

/** Names of this machine, which must not be in a file that is published. */
const published =
  (world: World) =>
  (text: string): string =>
    text.replaceAll(world.home, '/home/eider').replaceAll(projectRoot, '/eider').replaceAll(hostname(), 'host');

function scrubbed(value: unknown, clean: (text: string) => string, key = ''): unknown {
  if (Array.isArray(value)) return value.map((inner) => scrubbed(inner, clean));
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, scrubbed(inner, clean, name)]));
  if (typeof value !== 'string') return value;
  if (key === 'stackTrace') return '';
  if (key === 'identity') return 'worker';
  if (key !== 'data') return clean(value);
  return Buffer.from(clean(Buffer.from(value, 'base64').toString())).toString('base64');
}
