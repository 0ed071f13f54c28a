import { WorkflowFailedError, type WorkflowExecutionInfo } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { defaultDataConverter } from '@temporalio/common';
import { DomainError, isDomainError } from '../../domain/errors.js';
import type { StageProgress } from '../../domain/features.js';
import { searchAttributes, type Instant, type ProjectName } from '../../domain/ids.js';
import { fromDate } from '../../domain/instants.js';
import { progressQuery } from '../../workflows/messages.js';
import { failureOf } from './failures.js';
import type { Page } from './paging.js';
import type { Temporal } from './temporal.js';

export const workflowStatuses = [
  'running',
  'completed',
  'failed',
  'cancelled',
  'terminated',
  'timed_out',
  'paused',
] as const;
export type WorkflowStatus = (typeof workflowStatuses)[number] | 'continued_as_new' | 'unknown';

export interface WorkflowRow {
  readonly id: string;
  readonly runId: string;
  readonly type: string;
  readonly status: WorkflowStatus;
  readonly resource: string | null;
  readonly stage: string | null;
  readonly verdict: string | null;
  /** The workflow that started it. */
  readonly parent: string | null;
  readonly startedAt: Instant;
  readonly closedAt: Instant | null;
  readonly ui: string;
}

export interface WorkflowState extends WorkflowRow {
  /** What it is doing, or last did; null while no worker answers. */
  readonly progress: StageProgress | null;
  readonly result: unknown;
  readonly error: {
    readonly code: string;
    readonly detail: string;
    readonly help: string;
    readonly data: object;
  } | null;
}

const queryMs = 2_000;

/** Ids name their project, so nobody sees the workflows of another one. */
function requireOwn(project: ProjectName, workflowId: string): void {
  if (workflowId.split('/')[1] !== project)
    throw new DomainError('workflow_unknown', `There is no workflow ${workflowId} in project "${project}".`, {
      workflowId,
    });
}

/** A workflow's status without its result: one call, cheap enough to poll. */
export async function workflowRow(temporal: Temporal, project: ProjectName, workflowId: string): Promise<WorkflowRow> {
  requireOwn(project, workflowId);
  return rowOf(temporal, await temporal.call(() => temporal.client.workflow.getHandle(workflowId).describe()));
}

export async function workflowState(
  temporal: Temporal,
  project: ProjectName,
  workflowId: string,
): Promise<WorkflowState> {
  const row = await workflowRow(temporal, project, workflowId);
  const progress = await workflowProgress(temporal, row);
  return { ...row, progress, ...(await outcomeOf(temporal, row)) };
}

/** Null while no worker answers; a workflow that did not report anything has no progress either. */
export async function workflowProgress(temporal: Temporal, { id, runId }: WorkflowRow): Promise<StageProgress | null> {
  const handle = temporal.client.workflow.getHandle(id, runId);
  return temporal.call(() => handle.query(progressQuery), queryMs).catch(() => null);
}

/** What came out of a closed workflow. */
export async function outcomeOf(
  temporal: Temporal,
  { id, runId, status }: WorkflowRow,
): Promise<Pick<WorkflowState, 'result' | 'error'>> {
  if (status === 'running' || status === 'paused') return { result: null, error: null };
  const handle = temporal.client.workflow.getHandle(id, runId, { followRuns: false });
  try {
    return { result: (await temporal.call(() => handle.result())) as unknown, error: null };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { code, message, data, row } = failureOf(error).error;
    return { result: null, error: { code, detail: message, help: row.help, data } };
  }
}

export interface WorkflowFilter {
  readonly status?: WorkflowStatus;
  readonly type?: string;
  readonly resource?: string;
}

/** The project's workflows: what runs first, then what ended last. `after` is Temporal's own token. */
export async function listWorkflows(
  temporal: Temporal,
  project: ProjectName,
  { status, type, resource }: WorkflowFilter,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<WorkflowRow>> {
  const conditions = [
    `${searchAttributes.project} = "${project}"`,
    ...(status ? [`ExecutionStatus = "${temporalStatus(status)}"`] : []),
    ...(type ? [`WorkflowType = "${type}"`] : []),
    ...(resource ? [`${searchAttributes.resource} = "${resource}"`] : []),
  ];
  const { client } = temporal;
  const { namespace } = temporal.settings;
  const answer = await temporal.call(() =>
    client.workflowService.listWorkflowExecutions({
      namespace,
      query: conditions.join(' AND '),
      pageSize: limit,
      nextPageToken: after === undefined ? undefined : Buffer.from(after, 'base64url'),
    }),
  );
  const items = await Promise.all(
    answer.executions.map(async (raw) =>
      rowOf(temporal, await executionInfoFromRaw(raw as never, defaultDataConverter, raw, namespace)),
    ),
  );
  const token = answer.nextPageToken;
  return { items, next: token && token.length > 0 ? Buffer.from(token).toString('base64url') : null };
}

/** Asks a workflow to end in order; one that has ended is left as it is. */
export async function cancelWorkflow(
  temporal: Temporal,
  project: ProjectName,
  workflowId: string,
): Promise<WorkflowRow> {
  const row = await workflowRow(temporal, project, workflowId);
  if (row.status !== 'running' && row.status !== 'paused') return row;
  await temporal
    .call(() => temporal.client.workflow.getHandle(workflowId, row.runId).cancel())
    .catch((error: unknown) => {
      // It ended in between.
      if (!isDomainError(error) || error.code !== 'workflow_unknown') throw error;
    });
  return workflowRow(temporal, project, workflowId);
}

/** `RUNNING`, `TIMED_OUT` to `running`, `timed_out`; and back, as the query language wants it: `Running`, `TimedOut`. */
const statusOf = (name: string): WorkflowStatus => name.toLowerCase() as WorkflowStatus;
function temporalStatus(status: WorkflowStatus): string {
  if (status === 'cancelled') return 'Canceled';
  return status
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

function rowOf(temporal: Temporal, info: Omit<WorkflowExecutionInfo, 'raw'>): WorkflowRow {
  const attribute = (name: string) => (info.searchAttributes[name]?.[0] as string | undefined) ?? null;
  return {
    id: info.workflowId,
    runId: info.runId,
    type: info.type,
    status: statusOf(info.status.name),
    resource: attribute(searchAttributes.resource),
    stage: attribute(searchAttributes.stage),
    verdict: attribute(searchAttributes.verdict),
    parent: info.parentExecution?.workflowId ?? null,
    startedAt: fromDate(info.startTime),
    closedAt: info.closeTime ? fromDate(info.closeTime) : null,
    ui: temporal.uiOf(info.workflowId, info.runId),
  };
}
