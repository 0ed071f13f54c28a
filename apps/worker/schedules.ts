import { setTimeout as sleep } from 'node:timers/promises';
import { ScheduleNotFoundError, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client';
import { DomainError, isDomainError } from '../../domain/errors.js';
import { taskQueue as defaultQueue, workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { durationMicros, toDate, toMicros } from '../../domain/instants.js';
import { digestOf } from '../../domain/json.js';
import type { Revision } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { drainOne, type OutboxMessage } from '../../store/outbox.js';
import { getResource, listProjects, listResources } from '../../store/resources.js';
import type { Logger } from '../log.js';

export interface ScheduleDependencies {
  readonly db: Database;
  readonly client: Client;
  readonly taskQueue: string;
  readonly log: Logger;
}

const drainEveryMs = 500;
const reconcileEveryMs = 60_000;
const hashMemo = 'eiderHash';

/** Drains the outbox, and from time to time compares every Monitor with its schedule: PostgreSQL says what should be. */
export function keepSchedules(dependencies: ScheduleDependencies): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const loop = async (everyMs: number, work: () => Promise<unknown>) => {
    while (!stopping.signal.aborted) {
      await work().catch((error: unknown) => dependencies.log.warn('schedules are not up to date yet', { error }));
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = [
    loop(drainEveryMs, () => drain(dependencies)),
    loop(reconcileEveryMs, () => reconcile(dependencies)),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

async function drain(dependencies: ScheduleDependencies): Promise<void> {
  while (await drainOne(dependencies.db, (message) => handle(dependencies, message)));
}

async function handle(dependencies: ScheduleDependencies, { project, topic, payload }: OutboxMessage): Promise<void> {
  if (topic !== 'monitor_changed')
    throw new DomainError('internal', `Nobody handles outbox messages of topic "${topic}".`);
  await syncMonitor(dependencies, project, payload.monitor ?? '');
}

async function reconcile(dependencies: ScheduleDependencies): Promise<void> {
  for (const { name } of await listProjects(dependencies.db)) {
    const project = name as ProjectName;
    for (const monitor of await listResources(dependencies.db, project, 'Monitor'))
      await syncMonitor(dependencies, project, monitor.name);
  }
}

/** Makes the schedule what the Monitor says: created, updated if it differs, deleted with the Monitor. */
async function syncMonitor(
  { db, client, taskQueue, log }: ScheduleDependencies,
  project: ProjectName,
  name: string,
): Promise<void> {
  const monitor = await getResource(db, project, 'Monitor', name).catch((error: unknown) => {
    if (isDomainError(error) && error.code === 'resource_unknown') return null;
    throw error;
  });
  const scheduleId = workflowIds.schedule(project, name);
  const handle = client.schedule.getHandle(scheduleId);
  const current = await handle.describe().catch((error: unknown) => {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  });
  if (!monitor) {
    if (current) await handle.delete();
    return;
  }
  const wanted = scheduleOf(project, monitor, taskQueue);
  if (current?.memo?.[hashMemo] === wanted.memo?.[hashMemo]) return;
  // A schedule's memo cannot be updated, so a changed one is made anew; its past runs keep their ids.
  if (current) await handle.delete();
  await client.schedule.create(wanted);
  log.info('schedule is up to date', { schedule: scheduleId });
}

/** Ticks lie on multiples of the window counted from `start`; the schedule lives in data time, so it may lie in the past. */
export function scheduleOf(
  project: ProjectName,
  monitor: Revision<'Monitor'>,
  taskQueue: string = defaultQueue,
): ScheduleOptions {
  const { window, start, end } = monitor.spec;
  const everyMs = durationMicros(window) / 1000;
  const scheduleId = workflowIds.schedule(project, monitor.name);
  const action = {
    type: 'startWorkflow',
    workflowType: 'monitorTick',
    workflowId: scheduleId,
    taskQueue,
    args: [{ project, monitor: monitor.name, principal: 'schedule' }],
    staticSummary: `Monitor ${monitor.name} of project ${project}`,
  } as const;
  const spec = {
    intervals: [{ every: everyMs, offset: (toMicros(start as Instant) / 1000) % everyMs }],
    startAt: toDate(start as Instant),
    ...(end ? { endAt: toDate(end as Instant) } : {}),
  };
  return {
    scheduleId,
    spec,
    action: { ...action, args: [...action.args] },
    // One tick after the other, none skipped: a retraining that a tick started is over before the next one looks.
    policies: { overlap: ScheduleOverlapPolicy.BUFFER_ALL, catchupWindow: '365 days' },
    memo: { [hashMemo]: digestOf({ spec: monitor.hash, taskQueue, format: 1 }) },
  };
}
