import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, type ChannelCredentials, type ClientOptions, type MethodDefinition, type ServiceError, type StatusObject } from '@grpc/grpc-js'; // prettier-ignore
import { codeKey } from '../../apps/flight/failures.js';
import { flightMessages, flightService, type FlightInfo } from '../../apps/flight/protocol.js';

export const protoFolder = fileURLToPath(new URL('../../proto', import.meta.url));
export const service = flightService(protoFolder);
export const messages = flightMessages(protoFolder);

type Method = MethodDefinition<object, object>;
export interface Said {
  readonly metadata?: Readonly<Record<string, string | Buffer>>;
  readonly deadlineMs?: number;
}

/** Everything that a client sees of a call that answers a stream. */
export interface Seen {
  readonly headers: Record<string, unknown>;
  readonly messages: Buffer[];
  readonly code: number;
  readonly details: string;
  readonly trailers: Record<string, unknown>;
}

export interface GrpcClient {
  readonly client: Client;
  unary<Answer>(name: string, request: object, said?: Said): Promise<Answer>;
  /** Opens a call whose answers stay bytes. */
  open(name: string, request: object, said?: Said): ReturnType<Client['makeServerStreamRequest']>;
  seen(name: string, request: object, said?: Said): Promise<Seen>;
  info(path: readonly string[], said?: Said): Promise<FlightInfo>;
  /** The body of the only result, and the headers that it came with. */
  action(type: string, body: Buffer, said?: Said): Promise<{ body: Buffer; headers: Metadata }>;
  close(): void;
}

export function grpcClient(
  port: number,
  options: ClientOptions = {},
  channel: ChannelCredentials = credentials.createInsecure(),
): GrpcClient {
  const client = new Client(`127.0.0.1:${port}`, channel, { 'grpc.max_receive_message_length': -1, ...options });
  const optionsOf = ({ deadlineMs }: Said) => (deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs });

  function unary<Answer>(name: string, request: object, said: Said = {}): Promise<Answer> {
    const { path, requestSerialize, responseDeserialize } = service[name] as Method;
    return new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadataOf(said), optionsOf(said), (error, answer) =>
        error ? reject(error) : resolve(answer as Answer),
      ),
    ); // prettier-ignore
  }
  function open(name: string, request: object, said: Said = {}) {
    const { path, requestSerialize } = service[name] as Method;
    const asBytes = (bytes: Buffer) => bytes;
    return client.makeServerStreamRequest(path, requestSerialize, asBytes, request, metadataOf(said), optionsOf(said));
  }
  return {
    client,
    unary,
    open,
    seen: (name, request, said) => seenOf(open(name, request, said)),
    info: (path, said) => unary<FlightInfo>('GetFlightInfo', { type: 'PATH', path }, said),
    async action(type, body, said) {
      const { path, requestSerialize, responseDeserialize } = service['DoAction'] as Method;
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { type, body }, metadataOf(said)); // prettier-ignore
      const headers = new Promise<Metadata>((resolve) => call.on('metadata', resolve));
      const bodies: Buffer[] = [];
      call.on('data', (result: { body: Buffer }) => bodies.push(result.body));
      await new Promise((resolve, reject) => call.on('end', resolve).on('error', reject));
      return { body: bodies[0] as Buffer, headers: await headers };
    },
    close: () => client.close(),
  };
}

/** Reads a call to its end. */
export async function seenOf(call: ReturnType<GrpcClient['open']>): Promise<Seen> {
  const messages: Buffer[] = [];
  let headers: Record<string, unknown> = {};
  call.on('metadata', (metadata: Metadata) => (headers = plain(metadata)));
  call.on('data', (message: Buffer) => messages.push(message));
  call.on('error', () => undefined);
  const status = await new Promise<StatusObject>((resolve) => call.on('status', resolve));
  return { headers, messages, code: status.code, details: status.details, trailers: plain(status.metadata) };
}

function plain(metadata: Metadata): Record<string, unknown> {
  const { date: _, ...rest } = metadata.getMap() as Record<string, unknown>;
  return rest;
}

function metadataOf({ metadata = {} }: Said = {}): Metadata {
  const made = new Metadata();
  for (const [key, value] of Object.entries(metadata)) made.set(key, value);
  return made;
}

/** The stable code and the status of a call that must fail. */
export async function refusal(answer: Promise<unknown>): Promise<{ code: unknown; status: number; details: string }> {
  const error = await answer.then(
    () => Promise.reject(new Error('It was not refused.')),
    (reason: ServiceError) => reason,
  );
  if (!('metadata' in error)) throw error as Error;
  return { code: error.metadata.get(codeKey)[0], status: error.code, details: error.details };
}
