import { join } from 'node:path';
import { loadPackageDefinition, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { DomainError } from '../../domain/errors.js';

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

/** Empty when nothing was set, which removes an option. */
export interface SessionOptionValue {
  readonly option_value?: 'string_value' | 'bool_value' | 'int64_value' | 'double_value' | 'string_list_value';
  readonly string_value?: string;
  readonly [other: string]: unknown;
}
export type SessionOptionValues = Readonly<Record<string, SessionOptionValue>>;

/** The bodies of actions, and of what a client says in Handshake. */
interface Messages {
  readonly BasicAuth: { readonly username: string; readonly password: string };
  readonly CancelFlightInfoRequest: { readonly info: FlightInfo | null };
  readonly CancelFlightInfoResult: { readonly status: 'CANCEL_STATUS_CANCELLED' | 'CANCEL_STATUS_NOT_CANCELLABLE' };
  readonly RenewFlightEndpointRequest: { readonly endpoint: FlightEndpoint | null };
  readonly FlightEndpoint: FlightEndpoint;
  readonly FlightInfo: FlightInfo;
  readonly SetSessionOptionsRequest: { readonly session_options: SessionOptionValues };
  readonly SetSessionOptionsResult: { readonly errors: Readonly<Record<string, { readonly value: OptionError }>> };
  readonly GetSessionOptionsRequest: object;
  readonly GetSessionOptionsResult: { readonly session_options: SessionOptionValues };
  readonly CloseSessionRequest: object;
  readonly CloseSessionResult: { readonly status: 'CLOSED' };
}
export type OptionError = 'INVALID_NAME' | 'INVALID_VALUE' | 'ERROR';

export interface Codec<Message> {
  serialize(message: Message): Buffer;
  /** Throws what protobufjs says of bytes that are no such message. */
  deserialize(bytes: Buffer): Message;
}
export type FlightMessages = { readonly [Name in keyof Messages]: Codec<Messages[Name]> };

/** What came instead of a message; grpc-js would call that an error of ours. */
class Undecodable {}

/** Throws `request_invalid` when bytes came that are not the message of the call. */
export function requireDecoded(message: unknown): void {
  if (message instanceof Undecodable)
    throw new DomainError('request_invalid', 'The bytes are not the message of this call in Flight.proto.');
}

/** `folder` holds Flight.proto. DoGet's messages do not pass through it: `framing.ts` writes them. */
export const flightService = (folder: string): ServiceDefinition =>
  Object.fromEntries(
    Object.entries(loaded(folder).FlightService.service).map(([name, method]) => [
      name,
      { ...method, requestDeserialize: (bytes: Buffer) => decodedOr(method.requestDeserialize, bytes) },
    ]),
  );

function decodedOr(decode: (bytes: Buffer) => unknown, bytes: Buffer): unknown {
  try {
    return decode(bytes);
  } catch {
    return new Undecodable();
  }
}

export const flightMessages = (folder: string): FlightMessages => loaded(folder);

function loaded(folder: string): FlightMessages & { readonly FlightService: { readonly service: ServiceDefinition } } {
  const definition = loadPackageDefinition(
    loadSync(join(folder, 'Flight.proto'), {
      keepCase: true,
      longs: Number,
      enums: String,
      defaults: true,
      arrays: true,
      oneofs: true,
    }),
  ) as unknown as { arrow: { flight: { protocol: ReturnType<typeof loaded> } } };
  return definition.arrow.flight.protocol;
}
