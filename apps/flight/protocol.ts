import { join } from 'node:path';
import { loadPackageDefinition, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** The messages of `proto/Flight.proto` that we read or write, as the loader gives them. */
export interface FlightDescriptor {
  readonly type: 'UNKNOWN' | 'PATH' | 'CMD';
  readonly cmd: Buffer;
  readonly path: readonly string[];
}

export interface FlightInfo {
  readonly schema: Buffer;
  readonly flight_descriptor: FlightDescriptor;
  readonly endpoint: readonly { readonly ticket: Ticket; readonly location: readonly { readonly uri: string }[] }[];
  readonly total_records: number;
  readonly total_bytes: number;
  readonly ordered: boolean;
  readonly app_metadata: Buffer;
}

export interface Ticket {
  readonly ticket: Buffer;
}

export interface Criteria {
  readonly expression: Buffer;
}

/** `folder` holds Flight.proto. DoGet's messages do not pass through it: `framing.ts` writes them. */
export function flightService(folder: string): ServiceDefinition {
  const loaded = loadPackageDefinition(
    loadSync(join(folder, 'Flight.proto'), {
      keepCase: true,
      longs: Number,
      enums: String,
      defaults: true,
      arrays: true,
      oneofs: true,
    }),
  ) as unknown as { arrow: { flight: { protocol: { FlightService: { service: ServiceDefinition } } } } };
  return loaded.arrow.flight.protocol.FlightService.service;
}
