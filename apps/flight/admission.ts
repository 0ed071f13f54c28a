import { DomainError } from '../../domain/errors.js';

export interface AdmissionLimits {
  readonly openMax: number;
  /** How many may wait for one of the open to end. */
  readonly waitingMax: number;
  readonly waitMaxMs: number;
}

interface Waiting {
  admit(): void;
}

/** Lets so many in at a time; a bounded number of others wait in the order in which they came. */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #waiting = new Set<Waiting>();
  #open = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get open(): number {
    return this.#open;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves with what must be called once, when it is over. Throws `streams_exhausted`, or `cancelled` when the signal fires. */
  async enter(signal: AbortSignal): Promise<() => void> {
    const { openMax, waitingMax } = this.#limits;
    if (this.#open < openMax) this.#open++;
    else if (this.#waiting.size < waitingMax) await this.#turn(signal);
    else throw exhausted(`${this.#open} streams are open and ${this.#waiting.size} wait, which is the limit.`);
    let isOver = false;
    return () => {
      if (!isOver) this.#leave();
      isOver = true;
    };
  }

  /** Whoever leaves hands the place to the first who waits. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#open--;
    else next.admit();
  }

  #turn(signal: AbortSignal): Promise<void> {
    const { waitMaxMs } = this.#limits;
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#waiting.delete(waiting);
        clearTimeout(timer);
        signal.removeEventListener('abort', leave);
        settle();
      };
      const waiting: Waiting = { admit: () => end(resolve) };
      const timeout = () =>
        end(() => reject(exhausted(`${this.#open} streams are open, and none ended in ${waitMaxMs / 1000} seconds.`)));
      const leave = () => end(() => reject(new DomainError('cancelled', 'The client left.')));
      const timer = setTimeout(timeout, waitMaxMs);
      this.#waiting.add(waiting);
      signal.addEventListener('abort', leave, { once: true });
      if (signal.aborted) leave();
    });
  }
}

const exhausted = (detail: string): DomainError => new DomainError('streams_exhausted', detail);
