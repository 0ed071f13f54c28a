import { randomUUID } from 'node:crypto';
import type { InferenceLogRow, ServingStore } from '../../domain/serving.js';
import type { Logger } from '../log.js';
import { Signal, within } from './waiting.js';

export interface InferenceLogNumbers {
  readonly queued: number;
  readonly written: number;
  /** Rows that found the queue full. */
  readonly dropped: number;
  /** Rows that the store will never take. */
  readonly rejected: number;
  /** Answers that went out before their rows were committed. */
  readonly unconfirmed: number;
  /** True while answers do not wait, because the store does not keep up. */
  readonly away: boolean;
}

export interface InferenceLogOptions {
  readonly queueRowsMax?: number;
  /** How long an answer waits for its commit at most. */
  readonly waitMsMax?: number;
}

interface Entry {
  readonly rows: readonly InferenceLogRow[];
  readonly settle: (committed: boolean) => void;
}

const batchRowsMax = 2_000;
const retryMsMin = 100;
const retryMsMax = 5_000;

/** Every answered row is recorded. Rows of concurrent requests share one statement, and an answer waits for its commit. */
export class InferenceLog {
  private readonly queue: Entry[] = [];
  private readonly counts = { queued: 0, written: 0, dropped: 0, rejected: 0, unconfirmed: 0 };
  private readonly queueRowsMax: number;
  private readonly waitMsMax: number;
  private readonly retry = new Signal();
  private away = false;
  private stopping = false;
  private draining: Promise<void> | null = null;

  constructor(
    private readonly store: Pick<ServingStore, 'appendLog'>,
    private readonly log: Logger,
    { queueRowsMax = 100_000, waitMsMax = 500 }: InferenceLogOptions = {},
  ) {
    this.queueRowsMax = queueRowsMax;
    this.waitMsMax = waitMsMax;
  }

  numbers(): InferenceLogNumbers {
    return { ...this.counts, away: this.away };
  }

  /**
   * Resolves when the rows are committed; or sooner, when the store is away or slow: then they stay in the queue, are
   * written later, and `unconfirmed` counts the answer.
   */
  async append(rows: readonly InferenceLogRow[]): Promise<void> {
    if (this.counts.queued + rows.length > this.queueRowsMax) {
      this.counts.dropped += rows.length;
      return;
    }
    this.counts.queued += rows.length;
    let committed = false;
    const settled = new Promise<void>((resolve) => {
      const settle = (byCommit: boolean) => {
        committed = byCommit;
        resolve();
      };
      this.queue.push({ rows, settle });
    });
    this.draining ??= this.drain();
    if (!this.away) await within(settled, this.waitMsMax);
    if (committed) return;
    this.counts.unconfirmed++;
    this.away = true; // The next answers do not wait for a store that is slow, until it has caught up.
  }

  /** Writes what is queued, as far as that is possible within `deadlineMs`; returns how many rows are left. */
  async stop(deadlineMs: number): Promise<number> {
    this.stopping = true;
    this.retry.give();
    if (this.draining) await within(this.draining, deadlineMs);
    return this.counts.queued;
  }

  /** Runs while there are rows; the batch is what has gathered during the batch before it. */
  private async drain(): Promise<void> {
    let retryMs = retryMsMin;
    while (this.queue.length > 0) {
      const { count, rows } = nextBatch(this.queue);
      try {
        await this.write(rows);
      } catch (error) {
        this.holdBack(error);
        if (this.stopping) break;
        await this.retry.take(retryMs);
        retryMs = Math.min(retryMs * 2, retryMsMax);
        continue;
      }
      this.counts.queued -= rows.length;
      if (this.away) this.log.info('the inference log is written again', { queued: this.counts.queued });
      this.away = false;
      retryMs = retryMsMin;
      for (const { settle } of this.queue.splice(0, count)) settle(true);
    }
    this.draining = null;
  }

  /** Halves a batch that the store refuses until the row at fault stands alone: it must not hold up the others for ever. */
  private async write(rows: readonly InferenceLogRow[]): Promise<void> {
    try {
      await this.store.appendLog(rows);
      this.counts.written += rows.length;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (rows.length === 1) {
        this.counts.rejected++;
        this.log.error('a row of the inference log was refused', { error, requestId: rows[0]?.requestId });
        return;
      }
      const middle = rows.length >> 1;
      await this.write(rows.slice(0, middle));
      await this.write(rows.slice(middle));
    }
  }

  private holdBack(error: unknown): void {
    if (!this.away) this.log.warn('the inference log cannot be written; rows wait in memory', { error });
    this.away = true;
    for (const { settle } of this.queue) settle(false);
  }
}

function nextBatch(queue: readonly Entry[]): { count: number; rows: InferenceLogRow[] } {
  const rows: InferenceLogRow[] = [];
  let count = 0;
  for (const entry of queue) {
    if (count > 0 && rows.length + entry.rows.length > batchRowsMax) break;
    rows.push(...entry.rows);
    count++;
  }
  return { count, rows };
}

/** PostgreSQL's classes 22 and 23 are about the row itself; whatever else happens may pass. */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^2[23][0-9A-Z]{3}$/.test(String(error.code));

/** Begins with the time (UUID version 7), so that rows that are logged together lie together in the index. */
export function mintRequestId(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
