import { DomainError } from '../../domain/errors.js';

/** A query notices an interruption only once it runs, so it is repeated; milliseconds. */
export const interruptEveryMs = 20;

export interface Clock {
  isLate(): boolean;
  stop(): void;
}

/** Interrupts from then on, until it is stopped. */
export function startClock(timeMaxMs: number, interrupt: () => void): Clock {
  let again: NodeJS.Timeout | undefined;
  const first = setTimeout(() => {
    interrupt();
    again = setInterval(interrupt, interruptEveryMs);
  }, timeMaxMs);
  return {
    isLate: () => again !== undefined,
    stop() {
      clearTimeout(first);
      clearInterval(again);
    },
  };
}

/** Measures pieces of time, and calls when they have become too long together. */
export class Stopwatch {
  readonly #maxMs: number;
  readonly #onLate: () => void;
  #spentMs = 0;
  #since: number | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(maxMs: number, onLate: () => void) {
    this.#maxMs = maxMs;
    this.#onLate = onLate;
  }

  run(): void {
    if (this.#since !== null) return;
    this.#since = performance.now();
    if (this.#maxMs !== Infinity) this.#timer = setTimeout(this.#onLate, Math.max(0, this.#maxMs - this.#spentMs));
  }

  pause(): void {
    if (this.#since !== null) this.#spentMs += performance.now() - this.#since;
    this.#since = null;
    clearTimeout(this.#timer);
  }
}

export const timeoutAfter = (timeMaxMs: number): DomainError =>
  new DomainError('statement_timeout', `DuckDB has worked on it for ${timeMaxMs / 1000} seconds, which is the limit.`, {
    timeMaxMs,
  });
