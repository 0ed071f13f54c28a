import { DomainError } from '../../domain/errors.js';

/** The streams of this process by the FlightInfo that their tickets are of, and those that were cancelled. */
export interface OpenFlights {
  /** Throws `ticket_cancelled`. */
  requireGood(flight: string): void;
  /** Reads under a signal that also fires when the flight is cancelled. Throws `ticket_cancelled`. */
  during<Result>(flight: string, signal: AbortSignal, read: (signal: AbortSignal) => Promise<Result>): Promise<Result>;
  /** Ends its streams, and lets no more begin. The same again does nothing. */
  cancel(flight: string): void;
}

/** Of cancelled flights the oldest is forgotten first; its tickets expire by themselves. */
const cancelledMax = 10_000;

export function createOpenFlights(): OpenFlights {
  const open = new Map<string, Set<AbortController>>();
  const cancelled = new Set<string>();
  const requireGood = (flight: string) => {
    if (cancelled.has(flight)) throw new DomainError('ticket_cancelled', 'CancelFlightInfo was called for it.');
  };
  return {
    requireGood,
    async during(flight, signal, read) {
      requireGood(flight);
      const streams = open.get(flight) ?? new Set();
      const own = new AbortController();
      open.set(flight, streams.add(own));
      try {
        return await read(AbortSignal.any([signal, own.signal]));
      } catch (error) {
        throw own.signal.aborted ? new DomainError('cancelled', 'CancelFlightInfo ended the stream.') : error;
      } finally {
        streams.delete(own);
        if (streams.size === 0) open.delete(flight);
      }
    },
    cancel(flight) {
      cancelled.delete(flight);
      cancelled.add(flight);
      const [oldest] = cancelled;
      if (cancelled.size > cancelledMax && oldest !== undefined) cancelled.delete(oldest);
      for (const stream of open.get(flight) ?? []) stream.abort();
    },
  };
}
