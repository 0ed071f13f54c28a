import { join } from 'node:path';
import { loadPackageDefinition, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** The messages of `proto/Flight.proto` that we read or write, as the loader gives them. */
export interface FlightDescriptor {
  readonly type: 'UNKNOWN' | 'PATH' | 'CMD';
  readonly cmd: Buffer;
  readonly path: readonly string[];
}

export interface FlightEndpoint {
  readonly ticket: Ticket;
  readonly location: readonly { readonly uri: string }[];
  readonly expiration_time: { readonly seconds: number; readonly nanos: number } | null;
  readonly app_metadata: Buffer;
}

export interface FlightInfo {
  readonly schema: Buffer;
  readonly flight_descriptor: FlightDescriptor | null;
  readonly endpoint: readonly FlightEndpoint[];
  readonly total_records: number;
  readonly total_bytes: number;
  readonly ordered: boolean;
  readonly app_metadata: Buffer;
}

export interface Ticket {
  readonly ticket: Buffer;
}

export interface FlightData {
  /** Of the first message of a stream. */
  readonly flight_descriptor: FlightDescriptor | null;
  readonly data_header: Buffer;
  readonly app_metadata: Buffer;
  readonly data_body: Buffer;
}

export interface Action {
  readonly type: string;
  readonly body: Buffer;
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
