import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { ProjectNameSchema } from '../../domain/names.js';
import type { Call } from './call.js';
import type { Content } from './readable.js';

/** Who may use a ticket and until when, and what it stands for: the same rows, whatever is committed meanwhile and whoever restarts. */
const Ticket = z.strictObject({
  project: ProjectNameSchema,
  principal: z.string(),
  /** The same in all tickets of one FlightInfo, also renewed ones: what is cancelled together. */
  flight: z.string(),
  /** Milliseconds since 1970. */
  expiresAt: z.int(),
  content: z.looseObject({ kind: z.string() }),
});
export type Ticket = Omit<z.infer<typeof Ticket>, 'content'> & { readonly content: Content };

export interface Tickets {
  /** From signing to expiry. */
  readonly lifetimeMs: number;
  /** Throws `statement_too_large` when it would be too long. */
  sign(content: Content, owner: Pick<Call, 'project' | 'principal'>, flight?: string, expiresAt?: number): Buffer;
  /** Throws `ticket_invalid` or `ticket_expired`. */
  open(ticket: Uint8Array): Ticket;
}

export const ticketLifetimeMs = 3_600_000;
const version = 3;
const macBytes = 32;
/** A statement of 64 KiB and what it reads. */
const ticketBytesMax = 192 * 2 ** 10;

export const newFlight = (): string => randomBytes(12).toString('base64url');

/** A ticket is one byte of version, an HMAC-SHA256 over the rest, and JSON: readable to whoever debugs, writable by us only. */
export function createTickets(key: Buffer, lifetimeMs = ticketLifetimeMs, now: () => number = Date.now): Tickets {
  const macOf = (content: Uint8Array) => createHmac('sha256', key).update(content).digest();
  return {
    lifetimeMs,
    sign(content, { project, principal }, flight = newFlight(), expiresAt = now() + lifetimeMs) {
      const text = Buffer.from(JSON.stringify({ project, principal, flight, expiresAt, content }));
      const ticket = Buffer.concat([Buffer.of(version), macOf(text), text]);
      if (ticket.length <= ticketBytesMax) return ticket;
      throw new DomainError('statement_too_large', `It would be a ticket of ${ticket.length} bytes; ${ticketBytesMax} is the limit.`); // prettier-ignore
    },
    open(ticket) {
      const bytes = Buffer.from(ticket);
      const content = bytes.subarray(1 + macBytes);
      const known = bytes.length <= ticketBytesMax && bytes[0] === version && content.length > 0;
      if (!known || !timingSafeEqual(bytes.subarray(1, 1 + macBytes), macOf(content)))
        throw new DomainError('ticket_invalid', 'This server did not sign the ticket.');
      const parsed = said(content);
      if (parsed.expiresAt <= now())
        throw new DomainError('ticket_expired', `The ticket expired at ${new Date(parsed.expiresAt).toISOString()}.`);
      return parsed;
    },
  };
}

/** Of what was signed; another version may have said other things. */
function said(content: Buffer): Ticket {
  try {
    return Ticket.parse(JSON.parse(content.toString())) as Ticket;
  } catch (error) {
    throw new DomainError('ticket_invalid', 'It says what this version does not understand.', {}, { cause: error });
  }
}
