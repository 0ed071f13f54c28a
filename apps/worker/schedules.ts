import { ScheduleNotFoundError, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client';
import { isDomainError } from '../../domain/errors.js';
import { taskQueue as defaultQueue, workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { durationMicros, toDate, toMicros } from '../../domain/instants.js';
import { digestOf } from '../../domain/json.js';
import type { Revision } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { getResource } from '../../store/resources.js';
import type { Logger } from '../log.js';

export interface UpkeepDependencies {
  readonly db: Database;
  readonly client: Client;
  readonly taskQueue: string;
  /** How long garbage collection keeps what was replaced, e.g. `30d`. */
  readonly retention: string;
  /** How long pushes are known by their ids, and requests by their Idempotency-Keys. */
  readonly idempotency: string;
  readonly log: Logger;
}

const hashMemo = 'eiderHash';

/** Makes the schedule what the Monitor says: created, updated if it differs, deleted with the Monitor. */
export async function syncMonitor(
  { db, client, taskQueue, log }: UpkeepDependencies,
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
  if (current?.action.memo?.[hashMemo] === wanted.action.memo?.[hashMemo]) return;
  // Updated in place: ticks of a backfill that wait their turn stay.
  if (current) await handle.update(({ state }) => ({ ...wanted, state }));
  else await client.schedule.create(wanted);
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
    // The schedule's own memo cannot be updated; its action's can.
    memo: { [hashMemo]: digestOf({ spec: monitor.hash, taskQueue, format: 1 }) },
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
  };
}
