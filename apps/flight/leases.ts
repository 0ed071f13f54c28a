import type { TableReader, TableRef } from '../../domain/tables.js';
import type { Logger } from '../log.js';

/** A stream whose process died is forgotten after this; a living one renews its leases several times within it. */
const leaseMs = 120_000;
const renewEveryMs = 30_000;

/** Reads under leases: whatever is collected meanwhile, the files of these snapshots stay. */
export async function holding<Result>(
  { tables, log }: { readonly tables: TableReader; readonly log: Logger },
  pins: readonly TableRef[],
  read: () => Promise<Result>,
): Promise<Result> {
  const leases = await Promise.all(pins.map((pin) => tables.lease(pin, leaseMs)));
  const timer = setInterval(() => {
    for (const lease of leases)
      lease.renew().catch((error: unknown) => log.warn('the lease of a stream was not renewed', { error }));
  }, renewEveryMs);
  try {
    return await read();
  } finally {
    clearInterval(timer);
    // One that cannot be let go expires.
    await Promise.all(
      leases.map((lease) =>
        lease.release().catch((error: unknown) => log.warn('the lease of a stream was not let go', { error })),
      ),
    );
  }
}
