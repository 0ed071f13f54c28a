import { DomainError, isDomainError } from '../../domain/errors.js';
import type { TableReader } from '../../domain/tables.js';
import type { Reader } from '../../lake/read/reader.js';
import { encapsulated } from '../../lake/read/schema.js';
import type { Call } from './call.js';
import type { FlightDescriptor, FlightEndpoint, FlightInfo } from './protocol.js';
import type { Readable } from './readable.js';
import { newFlight, type Tickets } from './ticket.js';

export interface InfoDeps {
  readonly tables: TableReader;
  readonly reader: Reader;
  readonly tickets: Tickets;
}

/** The schema in its encapsulated form. Throws `type_unsupported`, and what DuckDB says of a statement. */
export async function schemaOf({ source }: Readable, { reader }: Pick<InfoDeps, 'reader'>): Promise<Buffer> {
  if (source.type === 'ready') return encapsulated(source.schema);
  return encapsulated(source.schema ?? (await reader.describe(source.plan)).schema);
}

/** Endpoints have no location: their tickets are good on the connection that asked. What they read is promised to stay. */
export async function flightInfo(
  deps: InfoDeps,
  readable: Readable,
  descriptor: FlightDescriptor | null,
  call: Call,
): Promise<FlightInfo> {
  const { tables, tickets } = deps;
  const schema = await schemaOf(readable, deps);
  await tables.promise(readable.pins, tickets.lifetimeMs);
  const expiresAt = Date.now() + tickets.lifetimeMs;
  const flight = newFlight();
  const owner = { ...call, project: readable.project ?? call.project };
  return {
    schema,
    flight_descriptor: descriptor,
    endpoint: readable.contents.map((content) =>
      endpointOf(tickets.sign(content, owner, flight, expiresAt), expiresAt),
    ),
    total_records: readable.rows ?? -1,
    total_bytes: readable.bytes ?? -1,
    ordered: true,
    app_metadata: Buffer.from(JSON.stringify(readable.metadata)),
  };
}

export const endpointOf = (ticket: Buffer, expiresAt: number): FlightEndpoint => ({
  ticket: { ticket },
  location: [],
  expiration_time: { seconds: Math.floor(expiresAt / 1000), nanos: (expiresAt % 1000) * 1_000_000 },
  app_metadata: Buffer.alloc(0),
});

/** For a list: what cannot be sent is named all the same, without schema and endpoint, saying why. */
export async function listedFlightInfo(
  deps: InfoDeps,
  readable: Readable,
  descriptor: FlightDescriptor,
  call: Call,
): Promise<FlightInfo> {
  try {
    return await flightInfo(deps, readable, descriptor, call);
  } catch (error) {
    if (!isDomainError(error) || error.code !== 'type_unsupported') throw error;
    const { metadata, rows, bytes } = readable;
    return {
      schema: Buffer.alloc(0),
      flight_descriptor: descriptor,
      endpoint: [],
      total_records: rows ?? -1,
      total_bytes: bytes ?? -1,
      ordered: true,
      app_metadata: Buffer.from(JSON.stringify({ ...metadata, error: error.code, detail: error.message })),
    };
  }
}

export const unknownDescriptor = ({ type, path }: FlightDescriptor): DomainError =>
  new DomainError('descriptor_invalid', type === 'PATH' ? 'Nothing has this path.' : 'The command is none that is known here.', { type, path: [...path] }); // prettier-ignore
