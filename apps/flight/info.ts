import { isDomainError } from '../../domain/errors.js';
import type { PinnedTable } from '../../domain/tables.js';
import { encapsulated } from '../../lake/read/schema.js';
import type { Reader } from '../../lake/read/reader.js';
import type { FlightDescriptor, FlightInfo } from './protocol.js';
import type { Tickets } from './ticket.js';

/** One endpoint without locations: the ticket is good on the connection that asked. Throws `type_unsupported`. */
export function flightInfo(table: PinnedTable, descriptor: FlightDescriptor, reader: Reader, tickets: Tickets) {
  const { project, schema, name, revision, snapshot, rowHash } = table;
  return {
    schema: encapsulated(reader.schema(table.columns)),
    flight_descriptor: descriptor,
    endpoint: [{ ticket: { ticket: tickets.sign(table) }, location: [] }],
    total_records: table.rows,
    total_bytes: table.bytes,
    ordered: true,
    app_metadata: Buffer.from(JSON.stringify({ project, schema, name, revision, snapshot, rowHash })),
  } satisfies FlightInfo;
}

/** For a list: a table whose columns cannot be sent is named all the same, without schema and endpoint, saying why. */
export function listedFlightInfo(table: PinnedTable, reader: Reader, tickets: Tickets): FlightInfo {
  const descriptor = { type: 'PATH', cmd: Buffer.alloc(0), path: [table.project, table.schema, table.name] } as const;
  try {
    return flightInfo(table, descriptor, reader, tickets);
  } catch (error) {
    if (!isDomainError(error) || error.code !== 'type_unsupported') throw error;
    const { project, schema, name, rows, bytes } = table;
    return {
      schema: Buffer.alloc(0),
      flight_descriptor: descriptor,
      endpoint: [],
      total_records: rows,
      total_bytes: bytes,
      ordered: true,
      app_metadata: Buffer.from(JSON.stringify({ project, schema, name, error: error.code, detail: error.message })),
    };
  }
}
