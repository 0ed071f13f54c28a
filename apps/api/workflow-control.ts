import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure, type UpdateDefinition } from '@temporalio/common';
import type { Asked, ControlAction, ControlState } from '../../domain/control.js';
import { DomainError, isDomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import { cancelUpdate, pauseUpdate, resumeUpdate } from '../../workflows/messages.js';
import type { Temporal } from './temporal.js';
import { cancelWorkflow, workflowRow, type WorkflowRow } from './workflow-state.js';

const updates: Readonly<Record<ControlAction, UpdateDefinition<ControlState, [Asked]>>> = {
  pause: pauseUpdate,
  resume: resumeUpdate,
  cancel: cancelUpdate,
};
/** Temporal asks for cancellation without a worker, so nobody waits long for one that might say more. */
const cancelMs = 3_000;

export interface Controlled extends WorkflowRow {
  /** Null: the workflow keeps no such state, or no worker answered. */
  readonly control: ControlState | null;
}

/** Pauses or resumes work in batches; throws `control_refused` when its state forbids that, or it is no such work. */
export async function steer(
  temporal: Temporal,
  project: ProjectName,
  workflowId: string,
  action: 'pause' | 'resume',
  asked: Asked,
): Promise<Controlled> {
  const row = await workflowRow(temporal, project, workflowId);
  if (row.status !== 'running')
    throw new DomainError('control_refused', `Workflow ${workflowId} has ended: ${row.status}.`, { workflowId });
  const control = await update(temporal, row, action, asked);
  return { ...(await workflowRow(temporal, project, workflowId)), control };
}

/**
 * Asks a workflow to end in order; one that has ended is left as it is. Work in batches takes it as an Update, which keeps
 * who and why; any other, and any while no worker answers, as Temporal's own cancellation.
 */
export async function cancel(
  temporal: Temporal,
  project: ProjectName,
  workflowId: string,
  asked: Asked,
): Promise<Controlled> {
  const row = await workflowRow(temporal, project, workflowId);
  if (row.status !== 'running' && row.status !== 'paused') return { ...row, control: null };
  const control = await update(temporal, row, 'cancel', asked, cancelMs).catch((error: unknown) => {
    if (isDomainError(error)) return null;
    throw error;
  });
  if (control === null) return { ...(await cancelWorkflow(temporal, project, workflowId)), control };
  return { ...(await workflowRow(temporal, project, workflowId)), control };
}

async function update(
  temporal: Temporal,
  { id }: WorkflowRow,
  action: ControlAction,
  asked: Asked,
  deadlineMs?: number,
): Promise<ControlState> {
  // By id alone: work that handed on to a new run meanwhile is the same work.
  const handle = temporal.client.workflow.getHandle(id);
  try {
    return await temporal.call(() => handle.executeUpdate(updates[action], { args: [asked] }), deadlineMs);
  } catch (error) {
    if (!(error instanceof WorkflowUpdateFailedError)) throw error;
    const { cause } = error;
    const ours = cause instanceof ApplicationFailure && cause.type === 'control_refused';
    const detail = ours ? cause.message : `Workflow ${id} does not work in batches, so it can only be cancelled.`;
    throw new DomainError('control_refused', detail, { workflowId: id }, { cause: error });
  }
}
