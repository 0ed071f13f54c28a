import { DomainError } from '../../domain/errors.js';
import { requireProject } from './access.js';
import type { Call } from './call.js';
import type { FlightFeature } from './feature.js';
import { unknownDescriptor } from './info.js';
import type { OpenFlights } from './open-flights.js';
import type { FlightDescriptor } from './protocol.js';
import type { Readable } from './readable.js';
import type { Ticket, Tickets } from './ticket.js';

export interface RedeemDeps {
  readonly tickets: Tickets;
  readonly flights: OpenFlights;
  readonly features: readonly FlightFeature[];
}

/** What a ticket stands for, and the call on behalf of its project. */
export interface Redeemed {
  readonly readable: Readable;
  readonly owner: Call;
  readonly ticket: Ticket;
}

/** What the descriptor stands for; throws `descriptor_invalid` when it is of no kind that is known. */
export async function resolve(
  features: readonly FlightFeature[],
  descriptor: FlightDescriptor,
  call: Call,
): Promise<Readable> {
  for (const kind of features.flatMap((feature) => feature.readables ?? [])) {
    const readable = await kind.resolve(descriptor, call);
    if (readable) return permitted(readable, call);
  }
  throw unknownDescriptor(descriptor);
}

/**
 * Throws `ticket_invalid` also when it is somebody else's, `project_forbidden` when its owner's key has lost the project
 * meanwhile, and `ticket_cancelled`.
 */
export async function redeem({ tickets, flights, features }: RedeemDeps, bytes: Buffer, call: Call): Promise<Redeemed> {
  const ticket = tickets.open(bytes);
  const { project, principal, content, flight } = ticket;
  if (principal !== call.principal) throw new DomainError('ticket_invalid', 'The ticket was made for somebody else.');
  requireProject(call, project);
  flights.requireGood(flight);
  const kind = features
    .flatMap((feature) => feature.readables ?? [])
    .find((one) => one.content.safeParse(content).success);
  if (!kind) throw new DomainError('ticket_invalid', 'The ticket is of a kind that this version does not know.');
  const owner = { ...call, project };
  return { readable: permitted(await kind.open(kind.content.parse(content), owner), owner), owner, ticket };
}

/** Whatever kind it is of: it reads nothing of a project that the caller may not read. */
function permitted(readable: Readable, call: Call): Readable {
  for (const { project } of readable.pins) requireProject(call, project);
  return readable;
}
