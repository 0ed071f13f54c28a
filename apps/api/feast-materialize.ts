import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { WorkflowFailedError } from '@temporalio/client';
import { setTimeout as pause } from 'node:timers/promises';
import { DomainError, isDomainError } from '../../domain/errors.js';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import type { Revision } from '../../domain/resources.js';
import { failureOf } from './failures.js';
import { Temporal, type Started } from './temporal.js';

export interface Materialization {
  readonly project: ProjectName;
  readonly views: readonly Revision<'FeatureView'>[];
  /** Null: from the first row on that the sources have. */
  readonly start: Instant | null;
  readonly end: Instant;
  readonly principal: string;
}

export interface StartedView extends Started {
  readonly view: string;
}

/** How long one question for a result is open; then it is asked again, so that a caller who left is noticed. */
const questionMs = 20_000;
const retryMs = 1_000;

/** Feast's materialize as our workflows: one `refreshView` a view, of which one runs at a time. */
@Injectable()
export class FeastMaterialize implements BeforeApplicationShutdown {
  private readonly shutdown = new AbortController();

  constructor(@Inject(Temporal) private readonly temporal: Temporal) {}

  /** Starts all of them and returns; throws `materialization_running` when one of the views is at it, unless that is to end. */
  async start(work: Materialization, force: boolean): Promise<StartedView[]> {
    const open = [];
    for (const { name } of work.views) if (await this.isOpen(work.project, name)) open.push(name);
    if (open.length > 0 && !force) throw running(open);
    for (const view of open) await this.end(work.project, view);
    return Promise.all(
      work.views.map((view) =>
        this.startView(work, view).catch((error: unknown) => {
          throw isOther(error) ? running([view.name]) : error;
        }),
      ),
    );
  }

  /** Runs all of them to their end; what is under way with another range is waited for first. */
  async run(work: Materialization, left: AbortSignal): Promise<StartedView[]> {
    const signal = AbortSignal.any([left, this.shutdown.signal]);
    const ended = await Promise.allSettled(work.views.map((view) => this.runView(work, view, signal)));
    const failed = ended.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    return ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  }

  beforeApplicationShutdown(): void {
    this.shutdown.abort();
  }

  private async runView(
    work: Materialization,
    view: Revision<'FeatureView'>,
    signal: AbortSignal,
  ): Promise<StartedView> {
    for (;;) {
      const started = await this.startView(work, view).catch((error: unknown) => {
        if (isOther(error)) return null;
        throw error;
      });
      if (started !== null) {
        await this.result(started.workflowId, started.runId, signal);
        return started;
      }
      // What came of the other one is the business of whoever asked for it.
      const other = workflowIds.refresh(work.project, view.name);
      await this.result(other, undefined, signal).catch((error: unknown) => {
        if (signal.aborted) throw error;
      });
    }
  }

  private async startView(
    { project, start, end, principal }: Materialization,
    { name: view, revision }: Revision<'FeatureView'>,
  ): Promise<StartedView> {
    const started = await this.temporal.start('refreshView', {
      workflowId: workflowIds.refresh(project, view),
      input: { project, view, revision, start, end, principal },
      resource: `FeatureView/${view}`,
      summary: `Refresh ${view}@r${revision}, ${start?.slice(0, 10) ?? 'everything'} to ${end.slice(0, 10)}`,
    });
    return { view, ...started };
  }

  private async isOpen(project: ProjectName, view: string): Promise<boolean> {
    const handle = this.temporal.client.workflow.getHandle(workflowIds.refresh(project, view));
    const status = await this.temporal
      .call(() => handle.describe())
      .then(
        (found) => found.status.name,
        (error: unknown) => {
          if (isDomainError(error) && error.code === 'workflow_unknown') return null;
          throw error;
        },
      );
    return status === 'RUNNING';
  }

  /** Its children are asked to end too; whatever they committed by then is whole. */
  private async end(project: ProjectName, view: string): Promise<void> {
    const handle = this.temporal.client.workflow.getHandle(workflowIds.refresh(project, view));
    await this.temporal
      .call(() => handle.terminate('Feast asked for another materialization with force=true'))
      .catch((error: unknown) => {
        if (!isDomainError(error) || error.code !== 'workflow_unknown') throw error;
      });
  }

  /** Waits for as long as it takes; while Temporal is away it keeps asking. */
  private async result(workflowId: string, runId: string | undefined, signal: AbortSignal): Promise<void> {
    const handle = this.temporal.client.workflow.getHandle(workflowId, runId);
    while (!signal.aborted) {
      try {
        await this.temporal.call(() => handle.result(), questionMs);
        return;
      } catch (error) {
        if (error instanceof WorkflowFailedError) throw failureOf(error).error;
        if (!isDomainError(error) || error.code !== 'temporal_unreachable') throw error;
        await pause(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
    throw new DomainError('service_stopping', `The workflow ${workflowId} goes on, but nobody waits for it here.`);
  }
}

const isOther = (error: unknown): boolean => isDomainError(error) && error.code === 'workflow_open_with_other_input';

/** Feast's sentence: its client shows it. */
function running(featureViews: readonly string[]): DomainError {
  const list = `[${featureViews.map((name) => `'${name}'`).join(', ')}]`;
  const message = `Cannot start async materialization — the following feature views are already in MATERIALIZING state: ${list}. Use ?force=true to override.`;
  return new DomainError('materialization_running', message, { featureViews });
}
