import type { TableReader, TableRef } from '../../domain/tables.js';
import type { Logger } from '../log.js';

/** A stream whose process died is forgotten after this; a living one renews its leases several times within it. */
const leaseMs = 120_000;
const renewEveryMs = 30_000;

interface LeaseDeps {
  readonly tables: TableReader;
  readonly log: Logger;
}

/** Reads under leases: whatever is collected meanwhile, the files of these snapshots stay. */
export async function holding<Result>(
  deps: LeaseDeps,
  pins: readonly TableRef[],
  read: () => Promise<Result>,
): Promise<Result> {
  const release = await hold(deps, pins);
  try {
    return await read();
  } finally {
    await release();
  }
}

/** Takes leases, and answers what lets them go. */
export async function hold({ tables, log }: LeaseDeps, pins: readonly TableRef[]): Promise<() => Promise<void>> {
  const leases = await Promise.all(pins.map((pin) => tables.lease(pin, leaseMs)));
  const timer = setInterval(() => {
    for (const lease of leases)
      lease.renew().catch((error: unknown) => log.warn('the lease of a stream was not renewed', { error }));
  }, renewEveryMs);
  return async () => {
    clearInterval(timer);
    // One that cannot be let go expires.
    await Promise.all(
      leases.map((lease) =>
        lease.release().catch((error: unknown) => log.warn('the lease of a stream was not let go', { error })),
      ),
    );
  };
}
