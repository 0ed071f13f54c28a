import { workflowIds } from '../../domain/ids.js';
import { durationMicros } from '../../domain/instants.js';
import { forgetPushes } from '../../store/pushes.js';
import { waitingPushes } from '../../store/staged-rows.js';
import type { UpkeepDependencies } from './schedules.js';

/** Pushed rows are read by joins from the start; commits are what exports, compaction and retention know. */
const waitMaxSeconds = 60;
const waitingRowsMax = 10_000;

/** Starts a flush of each view whose pushed rows wait for too long, or are too many; one that is open already goes on. */
export async function flushDue({ db, client, taskQueue }: UpkeepDependencies): Promise<number> {
  const due = await waitingPushes(db, { longerThanSeconds: waitMaxSeconds, rowsMin: waitingRowsMax });
  const views = new Map(due.map(({ project, view }) => [workflowIds.flush(project, view), { project, view }]));
  for (const [workflowId, { project, view }] of views)
    await client.workflow.start('flushPushes', {
      ...{ workflowId, taskQueue, args: [{ project, view, principal: 'worker' }] },
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `Flush what was pushed to ${view}`,
    });
  return views.size;
}

/** Until no more ids of pushes are older than they are promised to be known. */
export async function forgetOldPushes({ db, pushIds, log }: UpkeepDependencies): Promise<void> {
  let forgotten = 0;
  for (let some = -1; some !== 0; forgotten += some) some = await forgetPushes(db, durationMicros(pushIds));
  if (forgotten > 0) log.info('ids of old pushes were forgotten', { pushes: forgotten });
}
