import {
  Metadata,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { TableReader } from '../../domain/tables.js';
import type { EncodedCache } from '../../lake/encoded/cache.js';
import type { Reader } from '../../lake/read/reader.js';
import type { Logger } from '../log.js';
import { projectKey, type Call } from './call.js';
import { projectNamed, schemaNamed } from './descriptor.js';
import { grpcFailure } from './failures.js';
import type { FlightFeature } from './feature.js';
import { putHandler, exchangeHandler } from './incoming.js';
import { flightInfo, listedFlightInfo, schemaOf, unknownDescriptor } from './info.js';
import { streamSender, type FlightLimits } from './get.js';
import type { Action, Criteria, FlightDescriptor, FlightInfo, Ticket as TicketMessage } from './protocol.js';
import type { Readable } from './readable.js';
import { tableReadable } from './tables.js';
import type { Tickets } from './ticket.js';

export interface FlightDeps {
  readonly tables: TableReader;
  readonly reader: Reader;
  readonly encoded: EncodedCache;
  readonly tickets: Tickets;
  readonly log: Logger;
  /** Object keys are relative to this folder. */
  readonly lakeRoot: string;
  readonly limits: FlightLimits;
  readonly features: readonly FlightFeature[];
  /** Fires when streams that are still open must end. */
  readonly stopping: AbortSignal;
}

type AnyCall = { readonly metadata: Metadata; on(event: 'cancelled', listener: () => void): unknown };
type Failing = { emit(event: 'error', error: object): boolean };

/** The calls of Flight. */
export function flightHandlers(deps: FlightDeps): UntypedServiceImplementation {
  const { log, features } = deps;
  const send = streamSender(deps);
  const actions = features.flatMap((feature) => feature.actions ?? []);
  const callOf = (call: AnyCall) => openCall(deps, call);

  const unary =
    <Request, Response>(answer: (request: Request, call: Call) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void =>
      void (async () => answer(call.request, callOf(call)))().then(
        (response) => reply(null, response),
        (error: unknown) => reply(grpcFailure(error, log)),
      );
  /** Ends the stream with what was thrown, or with OK. */
  const streaming =
    <Stream extends AnyCall & Failing & { end(): unknown }>(answer: (stream: Stream, call: Call) => Promise<void>) =>
    (stream: Stream): void =>
      void (async () => answer(stream, callOf(stream)))().then(
        () => stream.end(),
        (error: unknown) => stream.emit('error', grpcFailure(ifStopping(deps, error), log)),
      );

  return {
    Handshake: handshake,
    ListFlights: streaming(async (stream: ServerWritableStream<Criteria, FlightInfo>, call) => {
      for await (const info of listFlights(deps, stream.request, call)) stream.write(info);
    }),
    GetFlightInfo: unary(async (descriptor: FlightDescriptor, call) =>
      flightInfo(deps, await resolve(features, descriptor, call), descriptor, call),
    ),
    GetSchema: unary(async (descriptor: FlightDescriptor, call) => ({
      schema: await schemaOf(await resolve(features, descriptor, call), deps),
    })),
    DoGet: streaming(async (stream: ServerWritableStream<TicketMessage, Buffer>, call) => {
      const { readable, owner } = await redeem(deps, stream.request.ticket, call);
      await send(readable, owner, stream);
    }),
    DoPut: streaming(putHandler(features)),
    DoExchange: streaming(exchangeHandler(features, deps.limits.idleMs)),
    DoAction: streaming(async (stream: ServerWritableStream<Action, { body: Buffer }>, call) => {
      const { type, body } = stream.request;
      const action = actions.find((one) => one.type === type);
      if (!action) throw new DomainError('not_implemented', `There is no action "${type}".`, { type });
      for await (const result of action.run(body, call)) stream.write({ body: result });
    }),
    ListActions: streaming(async (stream: ServerWritableStream<object, object>) => {
      for (const { type, description } of actions) stream.write({ type, description });
    }),
    PollFlightInfo: unary(async (descriptor: FlightDescriptor, call) => ({
      info: await flightInfo(deps, await resolve(features, descriptor, call), descriptor, call),
      flight_descriptor: null,
      progress: 1,
      expiration_time: null,
    })),
  };
}

/** What the descriptor stands for; throws `descriptor_invalid` when it is of no kind that is known. */
async function resolve(
  features: readonly FlightFeature[],
  descriptor: FlightDescriptor,
  call: Call,
): Promise<Readable> {
  for (const kind of features.flatMap((feature) => feature.readables ?? [])) {
    const readable = await kind.resolve(descriptor, call);
    if (readable) return readable;
  }
  throw unknownDescriptor(descriptor);
}

/** What the ticket stands for, and the call on behalf of its project. Throws `ticket_invalid` also when it is somebody else's. */
async function redeem(
  { tickets, features }: FlightDeps,
  bytes: Buffer,
  call: Call,
): Promise<{ readable: Readable; owner: Call }> {
  // prettier-ignore
  const { project, principal, content } = tickets.open(bytes);
  if (principal !== call.principal) throw new DomainError('ticket_invalid', 'The ticket was made for somebody else.');
  const kind = features
    .flatMap((feature) => feature.readables ?? [])
    .find((one) => one.content.safeParse(content).success);
  if (!kind) throw new DomainError('ticket_invalid', 'The ticket is of a kind that this version does not know.');
  const owner = { ...call, project };
  return { readable: await kind.open(kind.content.parse(content), owner), owner };
}

async function* listFlights(deps: FlightDeps, { expression }: Criteria, call: Call): AsyncGenerator<FlightInfo> {
  const schema = expression.length === 0 ? undefined : schemaNamed(expression.toString());
  for (const table of await deps.tables.list(call.project, schema)) {
    const descriptor = { type: 'PATH', cmd: Buffer.alloc(0), path: [table.project, table.schema, table.name] } as const;
    yield await listedFlightInfo(deps, tableReadable(table, deps.lakeRoot), descriptor, call);
  }
}

function openCall({ stopping }: FlightDeps, call: AnyCall): Call {
  const { metadata } = call;
  const left = new AbortController();
  call.on('cancelled', () => left.abort());
  return {
    principal: 'anonymous',
    project: projectNamed(metadata.get(projectKey)[0]?.toString()),
    metadata,
    compression: 'none',
    signal: AbortSignal.any([left.signal, stopping]),
  };
}

const ifStopping = ({ stopping }: FlightDeps, error: unknown): unknown =>
  stopping.aborted ? new DomainError('service_stopping', 'The stream was cut.', {}, { cause: error }) : error;

/** Open to everybody: whoever asks for a token gets one that says so. Clients look for it in headers or in trailers. */
function handshake(call: ServerDuplexStream<unknown, unknown>): void {
  const token = new Metadata();
  token.set('authorization', 'Bearer anonymous');
  call.sendMetadata(token);
  call.on('data', () => call.write({ protocol_version: 0, payload: Buffer.alloc(0) }));
  call.on('end', () => call.end(token));
}
