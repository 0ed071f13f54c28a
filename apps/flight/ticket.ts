import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { ProjectNameSchema } from '../../domain/names.js';
import { tableSchemas, type PinnedTable } from '../../domain/tables.js';

/** What a ticket pins: the same rows until it expires, whatever is committed meanwhile and whoever restarts. */
const TicketContent = z.strictObject({
  project: ProjectNameSchema,
  schema: z.enum(tableSchemas),
  name: z.string(),
  revision: z.int(),
  snapshot: z.int(),
  /** Milliseconds since 1970. */
  expiresAt: z.int(),
});
export type TicketContent = z.infer<typeof TicketContent>;

export interface Tickets {
  /** From signing to expiry. */
  readonly lifetimeMs: number;
  sign(table: PinnedTable): Buffer;
  /** Throws `ticket_invalid` or `ticket_expired`. */
  open(ticket: Uint8Array): TicketContent;
}

export const ticketLifetimeMs = 3_600_000;
const version = 1;
const macBytes = 32;
const ticketBytesMax = 4096;

/** A ticket is one byte of version, an HMAC-SHA256 over the rest, and JSON: readable to whoever debugs, writable by us only. */
export function createTickets(key: Buffer, lifetimeMs = ticketLifetimeMs, now: () => number = Date.now): Tickets {
  const macOf = (content: Uint8Array) => createHmac('sha256', key).update(content).digest();
  return {
    lifetimeMs,
    sign({ project, schema, name, revision, snapshot }) {
      const content: TicketContent = { project, schema, name, revision, snapshot, expiresAt: now() + lifetimeMs };
      const text = Buffer.from(JSON.stringify(content));
      return Buffer.concat([Buffer.of(version), macOf(text), text]);
    },
    open(ticket) {
      const bytes = Buffer.from(ticket);
      const content = bytes.subarray(1 + macBytes);
      const known = bytes.length <= ticketBytesMax && bytes[0] === version && content.length > 0;
      if (!known || !timingSafeEqual(bytes.subarray(1, 1 + macBytes), macOf(content)))
        throw new DomainError('ticket_invalid', 'This server did not sign the ticket.');
      const parsed = TicketContent.parse(JSON.parse(content.toString()));
      if (parsed.expiresAt <= now())
        throw new DomainError('ticket_expired', `The ticket expired at ${new Date(parsed.expiresAt).toISOString()}.`);
      return parsed;
    },
  };
}
