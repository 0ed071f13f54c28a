import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import { closeRollout, openRollouts } from '../../store/deployment.js';
import { dropUnfinished, unfinishedGenerations } from '../../store/online-drop.js';
import { drainOne, type OutboxMessage } from '../../store/outbox.js';
import { listProjects, listResources } from '../../store/resources.js';
import { endRun, runningRuns } from '../../store/training.js';
import { syncCollection } from './collection.js';
import { flushDue, forgetOldIds } from './pushes.js';
import { syncMonitor, type UpkeepDependencies } from './schedules.js';

const drainEveryMs = 500;
const reconcileEveryMs = 60_000;
const flushEveryMs = 15_000;

/** Drains the outbox, and from time to time compares what should be (PostgreSQL) with what is (Temporal). */
export function keepUp(dependencies: UpkeepDependencies): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const loop = async (everyMs: number, what: string, work: () => Promise<unknown>) => {
    while (!stopping.signal.aborted) {
      await work().catch((error: unknown) => dependencies.log.warn(`${what} must wait`, { error }));
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = [
    loop(drainEveryMs, 'the outbox', () => drain(dependencies)),
    loop(reconcileEveryMs, 'reconciling', () => reconcile(dependencies)),
    loop(flushEveryMs, 'flushing what was pushed', () => flushDue(dependencies)),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

async function drain(dependencies: UpkeepDependencies): Promise<void> {
  while (await drainOne(dependencies.db, (message) => handle(dependencies, message)));
}

async function handle(dependencies: UpkeepDependencies, { project, topic, payload }: OutboxMessage): Promise<void> {
  if (topic !== 'monitor_changed')
    throw new DomainError('internal', `Nobody handles outbox messages of topic "${topic}".`);
  await syncMonitor(dependencies, project, payload.monitor ?? '');
}

/** Schedules against Monitors, what is noted as under way against its workflow, and what has had its time. */
export async function reconcile(dependencies: UpkeepDependencies): Promise<void> {
  const { db } = dependencies;
  for (const { name } of await listProjects(db)) {
    const project = name as ProjectName;
    for (const monitor of await listResources(db, project, 'Monitor'))
      await syncMonitor(dependencies, project, monitor.name);
    await syncCollection(dependencies, project);
  }
  await endUnfinished(dependencies);
  await dropAbandoned(dependencies);
  await forgetOldIds(dependencies);
}

/** A workflow that was terminated could not say how it ended: without this its rollout would block the endpoint for ever. */
export async function endUnfinished({ db, client, log }: UpkeepDependencies): Promise<void> {
  const detail = 'Its workflow ended without a word, as one that is terminated does.';
  for (const { project, id, workflowId } of await openRollouts(db))
    if (await isOver(client, workflowId)) {
      await closeRollout(db, project, id, 'failed', detail);
      log.warn('an unfinished rollout was closed', { project, rollout: id });
    }
  for (const { project, id, workflowId } of await runningRuns(db))
    if (await isOver(client, workflowId)) {
      await endRun(db, project, id, 'failed', { code: 'internal', detail });
      log.warn('an unfinished run was ended', { project, run: id });
    }
}

/**
 * A publish that was terminated leaves a generation that would keep its snapshot until the next one. While any publish of the
 * view is open it is left alone: that one drops it at its end, if it is not its own.
 */
export async function dropAbandoned({ db, client, log }: UpkeepDependencies): Promise<void> {
  for (const unfinished of await unfinishedGenerations(db))
    if ((await isOver(client, unfinished.workflowId)) && (await dropUnfinished(db, unfinished))) {
      const { project, view, generation } = unfinished;
      log.warn('a generation that nobody will publish was dropped', { project, view, generation });
    }
}

/** Whether no execution is open under this id. */
async function isOver(client: Client, workflowId: string): Promise<boolean> {
  try {
    const { name } = (await client.workflow.getHandle(workflowId).describe()).status;
    return ['COMPLETED', 'FAILED', 'CANCELLED', 'TERMINATED', 'TIMED_OUT'].includes(name);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return true;
    throw error;
  }
}
