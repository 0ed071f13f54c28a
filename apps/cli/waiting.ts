import { setTimeout as pause } from 'node:timers/promises';
import { DomainError, errorTable, isDomainError, type ErrorCode } from '../../domain/errors.js';
import type { StageProgress } from '../../domain/features.js';
import type { Progress } from '../../domain/training.js';
import type { ApiClient, ApiEvent } from './client.js';
import { figure } from './table.js';

/** How a workflow ended. */
interface Ended {
  readonly workflowId: string;
  readonly status: string;
  readonly result: unknown;
  readonly error: { readonly code: string; readonly detail: string; readonly data: Record<string, unknown> } | null;
}

/** While this long nobody answers, a wait goes on: processes restart. */
const awayMaxMs = 60_000;
const againMs = 500;

/** Follows a workflow to its end and returns its result; its failure is thrown. `appears`: it may not have begun yet. */
export async function waitForWorkflow<Result>(
  api: ApiClient,
  workflowId: string,
  show: ProgressLine,
  { appears = false }: { appears?: boolean } = {},
): Promise<Result> {
  let heard = performance.now();
  for (;;) {
    try {
      for await (const event of api.events(`/workflows/${encodeURIComponent(workflowId)}/events`)) {
        heard = performance.now();
        if (event.event === 'end') return resultOf<Result>(event.data as Ended);
        show.event(event);
      }
    } catch (error) {
      const missing = appears && isDomainError(error) && error.code === 'workflow_unknown';
      const away = isDomainError(error) && error.row.retry;
      if (!(missing || away) || performance.now() - heard > awayMaxMs) throw error;
    } finally {
      show.pause();
    }
    await pause(againMs);
  }
}

function resultOf<Result>({ workflowId, status, result, error }: Ended): Result {
  if (error === null) return result as Result;
  const known = error.code in errorTable ? (error.code as ErrorCode) : 'internal';
  throw new DomainError(known, error.detail, { ...error.data, workflowId, status });
}

export interface ProgressLine {
  event(event: ApiEvent): void;
  /** Leaves the terminal's cursor at the start of a free line. */
  pause(): void;
}

export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const barWidth = 24;
const columnsDefault = 80;
/** Without a terminal a line is written when this share of the work has been done since the last one. */
const lineShare = 0.1;

/** What a workflow does: one line that is rewritten in a terminal, plain lines elsewhere. */
export function progressLine(out: Terminal): ProgressLine {
  let [lastStage, lastShare, open] = ['', 0, false];
  const say = (stage: string, share: number, line: string, last: boolean) => {
    if (out.isTTY) {
      const room = (out.columns ?? columnsDefault) - 1;
      out.write(`${stage === lastStage || !open ? '' : '\n'}\r\u001b[K${line.slice(0, room)}`);
      open = true;
    } else if (stage !== lastStage || share >= lastShare + lineShare || (last && share > lastShare)) {
      out.write(`${line}\n`);
      lastShare = share;
    }
    if (stage !== lastStage) lastShare = share;
    lastStage = stage;
  };
  return {
    event({ event, data }) {
      if (event === 'progress') {
        const progress = data as StageProgress;
        const { done, total } = progress;
        const held = progress.control && progress.control.state !== 'running' ? progress.control : null;
        const stage = held?.state ?? progress.stage;
        const detail = held ? `by ${held.by}: ${held.reason}` : `${progress.detail}${paceOf(progress)}`;
        say(stage, total > 0 ? done / total : 0, `${stage.padEnd(12)}${counted(done, total)}${detail}`, done === total);
      }
      if (event === 'training') {
        const { step, total, metric = {} } = data as Progress;
        const figures = Object.entries(metric).map(([name, value]) => `${name} ${value.toPrecision(4)}`);
        say('fit', step / total, `${'fit'.padEnd(12)}${counted(step, total)}${figures.join(', ')}`, step === total);
      }
    },
    pause() {
      if (open) out.write('\n');
      open = false;
    },
  };
}

function paceOf({ pace }: StageProgress): string {
  if (!pace) return '';
  const left = pace.remainingSeconds === null ? '' : `, about ${pace.remainingSeconds} s left`;
  return `; ${figure(pace.rows)} rows, ${figure(pace.rowsPerSecond)} rows/s${left}`;
}

function counted(done: number, total: number): string {
  if (total <= 0) return '';
  const full = Math.round((Math.min(done, total) / total) * barWidth);
  return `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}] ${done}/${total} `;
}
