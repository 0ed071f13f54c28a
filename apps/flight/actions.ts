import { DomainError, isDomainError } from '../../domain/errors.js';
import type { TableReader } from '../../domain/tables.js';
import type { Call } from './call.js';
import type { ActionTaker } from './feature.js';
import { endpointOf } from './info.js';
import type { OpenFlights } from './open-flights.js';
import type { Codec, FlightEndpoint, FlightInfo, FlightMessages } from './protocol.js';
import type { Redeemed } from './redeem.js';
import type { Tickets } from './ticket.js';

export interface FlightActionDeps {
  readonly tables: TableReader;
  readonly tickets: Tickets;
  readonly flights: OpenFlights;
  readonly messages: FlightMessages;
  /** What a ticket stands for, and whose it is. */
  readonly redeem: (ticket: Buffer, call: Call) => Promise<Redeemed>;
}

/** CancelFlightInfo and RenewFlightEndpoint. */
export function flightActions(deps: FlightActionDeps): ActionTaker[] {
  const { messages } = deps;
  return [
    {
      type: 'CancelFlightInfo',
      description: 'End the streams of a FlightInfo, and let no ticket of it be used again.',
      run: only((body, call) => {
        const { info } = decoded(messages.CancelFlightInfoRequest, body);
        if (!info) throw new DomainError('action_invalid', 'The request has no FlightInfo.');
        const status = cancelFlight(deps, info, call) ? 'CANCEL_STATUS_CANCELLED' : 'CANCEL_STATUS_NOT_CANCELLABLE';
        return messages.CancelFlightInfoResult.serialize({ status });
      }),
    },
    {
      type: 'RenewFlightEndpoint',
      description: 'The same endpoint with a later expiration time and a new ticket.',
      run: only(async (body, call) => {
        const { endpoint } = decoded(messages.RenewFlightEndpointRequest, body);
        if (!endpoint) throw new DomainError('action_invalid', 'The request has no FlightEndpoint.');
        return messages.FlightEndpoint.serialize(await renewed(deps, endpoint, call));
      }),
    },
  ];
}

/**
 * Ends all streams of what GetFlightInfo answered, in this process, and refuses its tickets from now on; the same again
 * does nothing. False when there is nothing left to cancel. Throws `ticket_invalid` when it is somebody else's.
 */
export function cancelFlight(
  { tickets, flights }: Pick<FlightActionDeps, 'tickets' | 'flights'>,
  info: Pick<FlightInfo, 'endpoint'>,
  call: Call,
): boolean {
  const found = info.endpoint.map(({ ticket }) => flightOf(tickets, ticket?.ticket ?? Buffer.alloc(0), call));
  for (const flight of new Set(found)) if (flight !== null) flights.cancel(flight);
  return found.some((flight) => flight !== null);
}

/** Null: the ticket has expired, so nothing can be read by it. */
function flightOf(tickets: Tickets, bytes: Buffer, call: Call): string | null {
  try {
    const { principal, flight } = tickets.open(bytes);
    if (principal === call.principal) return flight;
  } catch (error) {
    if (isDomainError(error) && error.code === 'ticket_expired') return null;
    throw error;
  }
  throw new DomainError('ticket_invalid', 'The ticket was made for somebody else.');
}

async function renewed({ tables, tickets, redeem }: FlightActionDeps, endpoint: FlightEndpoint, call: Call) {
  const { readable, owner, ticket } = await redeem(endpoint.ticket?.ticket ?? Buffer.alloc(0), call);
  const [content] = readable.contents;
  if (content === undefined) throw new DomainError('internal', 'What a ticket stands for has no content.');
  await tables.promise(readable.pins, tickets.lifetimeMs);
  const expiresAt = Math.max(Date.now() + tickets.lifetimeMs, ticket.expiresAt + 1);
  return { ...endpointOf(tickets.sign(content, owner, ticket.flight, expiresAt), expiresAt), app_metadata: endpoint.app_metadata }; // prettier-ignore
}

/** An action that answers once. */
export const only = (answer: (body: Buffer, call: Call) => Buffer | Promise<Buffer>): ActionTaker['run'] =>
  async function* (body, call) {
    yield await answer(body, call);
  };

export function decoded<Message>(codec: Codec<Message>, body: Buffer): Message {
  try {
    return codec.deserialize(body);
  } catch (error) {
    throw new DomainError('action_invalid', 'Its bytes cannot be read.', {}, { cause: error });
  }
}
