import type { TableReader } from '../../domain/tables.js';
import type { Logger } from '../log.js';
import type { TicketContent } from './ticket.js';

/** A stream whose process died is forgotten after this; a living one renews its lease several times within it. */
const leaseMs = 120_000;
const renewEveryMs = 30_000;

/** Reads under a lease: whatever is collected meanwhile, the files of the ticket's snapshot stay. */
export async function holding<Result>(
  { tables, log }: { readonly tables: TableReader; readonly log: Logger },
  pinned: TicketContent,
  read: () => Promise<Result>,
): Promise<Result> {
  const lease = await tables.lease(pinned, leaseMs);
  const timer = setInterval(() => {
    lease.renew().catch((error: unknown) => log.warn('the lease of a stream was not renewed', { error }));
  }, renewEveryMs);
  try {
    return await read();
  } finally {
    clearInterval(timer);
    // One that cannot be let go expires.
    await lease.release().catch((error: unknown) => log.warn('the lease of a stream was not let go', { error }));
  }
}
