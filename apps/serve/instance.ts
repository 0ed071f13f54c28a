import type { ServingStore } from '../../domain/serving.js';
import type { Logger } from '../log.js';
import type { Follower } from './follower.js';
import { Signal, within } from './waiting.js';

export interface InstanceDeps {
  readonly name: string;
  /** Where others reach it. */
  readonly url: string;
  readonly store: ServingStore;
  readonly follower: Follower;
  readonly log: Logger;
}

export interface InstanceTiming {
  readonly leaseSeconds: number;
  readonly renewMs: number;
  readonly pollMs: number;
}

const timingDefault: InstanceTiming = { leaseSeconds: 6, renewMs: 2_000, pollMs: 1_000 };
const backOffMsMax = 5_000;
const stopMsMax = 3_000;

/**
 * Holds the lease of an inference instance and keeps looking at the store: at once when something is announced, and every
 * second in case a message was lost. When the store is away everything stays as it is, and both try again with back-off.
 */
export class Instance {
  private readonly looking = new Signal();
  private readonly renewing = new Signal();
  private readonly timing: InstanceTiming;
  private readonly loops: Promise<unknown>[];
  private unlisten: () => Promise<void> = async () => undefined;
  private leased = false;
  private stopped = false;

  constructor(
    private readonly deps: InstanceDeps,
    timing: Partial<InstanceTiming> = {},
  ) {
    this.timing = { ...timingDefault, ...timing };
    this.loops = [this.holdLease(), this.watch(), this.hear()];
  }

  /** Gives up the lease and stops looking; what is loaded stays loaded. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.looking.give();
    this.renewing.give();
    const { store, name, log } = this.deps;
    await within(Promise.all(this.loops), stopMsMax);
    const left = Promise.all([this.unlisten(), store.releaseLease(name)]);
    await within(
      left.catch((error: unknown) => log.warn('the lease was left to expire', { error })),
      stopMsMax,
    );
  }

  private holdLease(): Promise<void> {
    const { store, name, url } = this.deps;
    return this.repeat('the lease', this.timing.renewMs, this.renewing, async () => {
      // Whatever a process of this name reported before is not true of this one.
      if (!this.leased) await store.releaseLease(name);
      await store.renewLease(name, url, this.timing.leaseSeconds);
      if (!this.leased) this.looking.give();
      this.leased = true;
    });
  }

  private watch(): Promise<void> {
    const { follower } = this.deps;
    follower.onLoaded(() => this.looking.give());
    return this.repeat('the look at what is announced', this.timing.pollMs, this.looking, async () => {
      if (this.leased) await follower.look();
    });
  }

  private async hear(): Promise<void> {
    try {
      this.unlisten = await this.deps.store.listen(() => this.looking.give());
    } catch (error) {
      this.deps.log.warn('announcements are found by polling only', { error });
    }
  }

  private async repeat(what: string, everyMs: number, signal: Signal, work: () => Promise<void>): Promise<void> {
    const { log, follower } = this.deps;
    let failures = 0;
    while (!this.stopped) {
      try {
        await work();
        if (failures > 0) {
          log.info(`${what} works again`, { failures });
          follower.reportAgain(); // While the lease had lapsed somebody may have swept our reports away.
        }
        failures = 0;
      } catch (error) {
        if (failures++ === 0) log.warn(`${what} failed; what is loaded is served on`, { error });
      }
      if (!this.stopped)
        await signal.take(Math.min(everyMs * 2 ** Math.min(failures, 8), Math.max(everyMs, backOffMsMax)));
    }
  }
}
