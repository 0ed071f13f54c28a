import { getClient } from '@temporalio/activity';
import type { Asked, ControlAction } from '../domain/control.js';
import type { ProjectName } from '../domain/ids.js';
import { recordAudit } from '../store/db.js';
import type { Dependencies } from './dependencies.js';

export interface RecordControl extends Asked {
  readonly project: ProjectName;
  readonly workflowId: string;
  readonly action: ControlAction;
}

const past = { pause: 'paused workflow', resume: 'resumed workflow', cancel: 'cancelled workflow' } as const;

export const controlActivities = ({ db }: Pick<Dependencies, 'db'>) => ({
  /** Keeps who did what to a workflow and why; a cancellation is then asked for. A repeat leaves a second row of audit. */
  async recordControl({ project, workflowId, action, principal, reason }: RecordControl): Promise<void> {
    await recordAudit(db, project, { name: principal }, past[action], workflowId, { reason });
    if (action === 'cancel') await getClient().workflow.getHandle(workflowId).cancel();
  },
});
