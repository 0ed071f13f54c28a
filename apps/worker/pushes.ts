import { workflowIds } from '../../domain/ids.js';
import { durationMicros } from '../../domain/instants.js';
import { forgetKeys } from '../../store/idempotency.js';
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

/** Until no more ids of pushes and keys of requests are older than they are promised to be known. */
export async function forgetOldIds({ db, idempotency, log }: UpkeepDependencies): Promise<void> {
  const micros = durationMicros(idempotency);
  const all = async (some: () => Promise<number>) => {
    let forgotten = 0;
    for (let gone = await some(); gone > 0; gone = await some()) forgotten += gone;
    return forgotten;
  };
  const [pushes, requests] = [await all(() => forgetPushes(db, micros)), await all(() => forgetKeys(db, micros))];
  if (pushes + requests > 0) log.info('old ids were forgotten', { pushes, requests });
}
