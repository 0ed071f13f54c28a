import { ScheduleNotFoundError, ScheduleOverlapPolicy, type ScheduleOptions } from '@temporalio/client';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { digestOf } from '../../domain/json.js';
import type { UpkeepDependencies } from './schedules.js';

const hashMemo = 'eiderHash';
const dayMs = 86_400_000;

/** Every project's garbage is collected once a day, by a schedule that people see and may pause in the Temporal UI. */
export async function syncCollection(dependencies: UpkeepDependencies, project: ProjectName): Promise<void> {
  const { client, log } = dependencies;
  const wanted = collectionSchedule(dependencies, project);
  const handle = client.schedule.getHandle(wanted.scheduleId);
  const current = await handle.describe().catch((error: unknown) => {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  });
  if (current?.action.memo?.[hashMemo] === wanted.action.memo?.[hashMemo]) return;
  if (current) await handle.update(({ state }) => ({ ...wanted, state }));
  else await client.schedule.create(wanted);
  log.info('schedule is up to date', { schedule: wanted.scheduleId });
}

function collectionSchedule(
  { taskQueue, retention }: UpkeepDependencies,
  project: ProjectName,
): ScheduleOptions & { scheduleId: string } {
  const workflowId = workflowIds.collect(project);
  const action = {
    type: 'startWorkflow',
    workflowType: 'collectGarbage',
    ...{ workflowId, taskQueue },
    args: [{ project, keep: retention, dryRun: false, principal: 'schedule' }],
    staticSummary: `Collect garbage of project ${project}, keep ${retention}`,
    memo: { [hashMemo]: digestOf({ retention, taskQueue, format: 1 }) },
  } as const;
  return {
    scheduleId: workflowId,
    spec: { intervals: [{ every: dayMs }] },
    action: { ...action, args: [...action.args] },
    // What was missed while nobody worked is done once by the next one.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 day' },
  };
}
