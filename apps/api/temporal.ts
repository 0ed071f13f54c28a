import {
  Client,
  Connection,
  ScheduleNotFoundError,
  WorkflowNotFoundError,
  WorkflowFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { DomainError, isDomainError } from '../../domain/errors.js';
import { searchAttributes, type Instant, type ProjectName } from '../../domain/ids.js';
import { digestOf } from '../../domain/json.js';
import type * as workflows from '../../workflows/index.js';
import { failureOf } from './failures.js';

type Workflows = typeof workflows;
export type WorkflowName = keyof Workflows;
export type InputOf<Name extends WorkflowName> = Parameters<Workflows[Name]>[0];
export type ResultOf<Name extends WorkflowName> = Awaited<ReturnType<Workflows[Name]>>;

export interface TemporalSettings {
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly uiUrl: string;
}

/** Work under its business key. */
export interface Work<Name extends WorkflowName> {
  readonly workflowId: string;
  readonly input: InputOf<Name> & { readonly project: ProjectName };
  /** What the work is about, e.g. `FeatureView/origin_hour`; operators find it by this. */
  readonly resource: string;
  /** One line of Markdown in the Temporal UI. */
  readonly summary: string;
}

export interface Started {
  readonly workflowId: string;
  readonly runId: string;
  /** Where to watch it. */
  readonly ui: string;
}

/** A call that Temporal does not answer within this time is a 503. */
const callMs = 8_000;
const projectKey = defineSearchAttributeKey(searchAttributes.project, 'KEYWORD');
const resourceKey = defineSearchAttributeKey(searchAttributes.resource, 'KEYWORD');

/** Fields that say who asked, why and how, not what is to be done. */
const askedFields = new Set(['principal', 'trigger', 'reason', 'parallel']);
const inputDigest = (input: object): string =>
  digestOf(Object.fromEntries(Object.entries(input).filter(([name]) => !askedFields.has(name))));

/** The one connection of the process: made at the first call and remade by itself, so the API starts while Temporal is away. */
export class Temporal {
  readonly client: Client;
  private readonly connection: Connection;

  constructor(readonly settings: TemporalSettings) {
    this.connection = Connection.lazy({ address: settings.address });
    this.client = new Client({ connection: this.connection, namespace: settings.namespace });
  }

  /**
   * Starts the work, or joins it when it is open already. Throws `workflow_open_with_other_input` when what is open under
   * the key does something else, `temporal_unreachable` when nobody answers.
   */
  async start<Name extends WorkflowName>(name: Name, work: Work<Name>, timeoutMs?: number): Promise<Started> {
    const { workflowId, input, resource, summary } = work;
    const digest = inputDigest(input);
    const handle = await this.call(() =>
      this.client.workflow.start(name, {
        args: [input],
        taskQueue: this.settings.taskQueue,
        workflowId,
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowExecutionTimeout: timeoutMs,
        memo: { inputDigest: digest },
        staticSummary: summary,
        // The workflow sets these too, but it is to be found before a worker has seen it.
        typedSearchAttributes: [
          { key: projectKey, value: input.project },
          { key: resourceKey, value: resource },
        ],
      }),
    );
    const runId = handle.firstExecutionRunId;
    const { memo } = await this.call(() => this.client.workflow.getHandle(workflowId, runId).describe());
    // Work that a workflow or a schedule started carries no digest; it has the same key, so it is the same work.
    if (memo?.['inputDigest'] !== undefined && memo['inputDigest'] !== digest)
      throw new DomainError('workflow_open_with_other_input', `Workflow ${workflowId} is open with another input.`, {
        workflowId,
        ui: this.uiOf(workflowId, runId),
      });
    return { workflowId, runId, ui: this.uiOf(workflowId, runId) };
  }

  /** Starts short work and waits for its result; its failure is thrown as our error, no result in time as `worker_unreachable`. */
  async execute<Name extends WorkflowName>(name: Name, work: Work<Name>, timeoutMs: number): Promise<ResultOf<Name>> {
    const { workflowId, runId } = await this.start(name, work, timeoutMs);
    const handle: WorkflowHandle = this.client.workflow.getHandle(workflowId, runId);
    const late = () =>
      new DomainError('worker_unreachable', `Workflow ${workflowId} had no result after ${timeoutMs / 1000} s.`, {
        workflowId,
      });
    try {
      return (await this.connection.withDeadline(Date.now() + timeoutMs, () => handle.result())) as ResultOf<Name>;
    } catch (error) {
      if (error instanceof WorkflowFailedError) {
        const failure = failureOf(error);
        throw failure.timedOut ? late() : failure.error;
      }
      if (isDeadline(error)) throw late();
      throw this.translate(error);
    }
  }

  /** Runs one call with a deadline and translates what goes wrong. */
  async call<Result>(work: () => Promise<Result>, deadlineMs: number = callMs): Promise<Result> {
    try {
      return await this.connection.withDeadline(Date.now() + deadlineMs, work);
    } catch (error) {
      throw this.translate(error);
    }
  }

  async ping(): Promise<void> {
    await this.call(() => this.client.workflowService.getSystemInfo({}), 2_000);
  }

  /** Runs the schedule's slots in `[start, end)`, one after the other; throws `schedule_not_ready` while there is none. */
  async backfill(scheduleId: string, start: Instant, end: Instant): Promise<void> {
    const handle = this.client.schedule.getHandle(scheduleId);
    // Temporal takes both ends in; ours is half-open, and slots lie on whole milliseconds.
    const range = { start: new Date(start), end: new Date(Date.parse(end) - 1), overlap: 'BUFFER_ALL' as const };
    await this.call(() => handle.backfill(range));
  }

  uiOf(workflowId: string, runId: string): string {
    const { uiUrl, namespace } = this.settings;
    return `${uiUrl.replace(/\/$/, '')}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}/${runId}`;
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  private translate(error: unknown): unknown {
    if (isDomainError(error)) return error;
    if (error instanceof WorkflowNotFoundError)
      return new DomainError('workflow_unknown', `There is no workflow ${error.workflowId}.`, {}, { cause: error });
    if (error instanceof ScheduleNotFoundError)
      return new DomainError(
        'schedule_not_ready',
        `There is no schedule ${error.scheduleId} yet.`,
        {},
        { cause: error },
      );
    const code = grpcCode(error);
    if (code === undefined || !awayCodes.has(code)) return error;
    const { address, namespace } = this.settings;
    return new DomainError(
      'temporal_unreachable',
      `The Temporal server at ${address} does not answer for namespace ${namespace}.`,
      { address, namespace },
      { cause: error },
    );
  }
}

// gRPC: CANCELLED, DEADLINE_EXCEEDED, NOT_FOUND (of the namespace: workflows have errors of their own), RESOURCE_EXHAUSTED, UNAVAILABLE.
const deadlineExceeded = 4;
const awayCodes = new Set([1, deadlineExceeded, 5, 8, 14]);

const isDeadline = (error: unknown): boolean => grpcCode(error) === deadlineExceeded;

/** The SDK wraps most errors of gRPC, and throws some as they are. */
function grpcCode(error: unknown): number | undefined {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  const found = typeof code === 'number' ? code : cause?.code;
  return typeof found === 'number' ? found : undefined;
}
