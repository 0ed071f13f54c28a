import type {
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { DomainError, isDomainError } from '../../domain/errors.js';
import type { Logger } from '../log.js';
import type { Access } from './access.js';
import { openCall, signalOf, type AnyCall, type Call } from './call.js';
import { schemaNamed } from './descriptor.js';
import { grpcFailure } from './failures.js';
import type { FlightFeature } from './feature.js';
import { writeMessages } from './framing.js';
import { streamSender, type GetDeps } from './get.js';
import { handshake } from './handshake.js';
import { exchangeHandler, mapped, putHandler } from './incoming.js';
import { flightInfo, listedFlightInfo, schemaOf, type InfoDeps } from './info.js';
import type { OpenFlights } from './open-flights.js';
import { requireDecoded, type Action, type Criteria, type FlightDescriptor, type FlightInfo, type Ticket } from './protocol.js'; // prettier-ignore
import { redeem, resolve } from './redeem.js';
import type { Sessions } from './sessions.js';
import { tableReadable } from './tables.js';

export interface FlightDeps extends GetDeps, InfoDeps {
  readonly access: Access;
  readonly sessions: Sessions;
  readonly flights: OpenFlights;
  readonly log: Logger;
  /** Object keys are relative to this folder. */
  readonly lakeRoot: string;
  readonly endpointBytes: number;
  readonly features: readonly FlightFeature[];
  /** Fires when streams that are still open must end. */
  readonly stopping: AbortSignal;
}

type Failing = { emit(event: 'error', error: object): boolean };

/** The calls of Flight. */
export function flightHandlers(deps: FlightDeps): UntypedServiceImplementation {
  const { features, limits } = deps;
  const { unary, streaming } = wrappers(deps);
  const send = streamSender(deps);
  const actions = features.flatMap((feature) => feature.actions ?? []);
  const listed = actions.filter((action) => action.listed !== false);

  return {
    Handshake: handshake(deps),
    ListFlights: streaming((stream: ServerWritableStream<Criteria, FlightInfo>, call) =>
      writeMessages(stream, listFlights(deps, stream.request, call), call, limits.idleMs),
    ),
    GetFlightInfo: unary(async (descriptor: FlightDescriptor, call) =>
      flightInfo(deps, await resolve(features, descriptor, call), descriptor, call),
    ),
    GetSchema: unary(async (descriptor: FlightDescriptor, call) => ({
      schema: await schemaOf(await resolve(features, descriptor, call), deps),
    })),
    DoGet: streaming(async (stream: ServerWritableStream<Ticket, Buffer>, call) => {
      const { readable, owner, ticket } = await redeem(deps, stream.request.ticket, call);
      await deps.flights.during(ticket.flight, call.signal, (signal) => send(readable, { ...owner, signal }, stream));
    }),
    DoPut: streaming(putHandler(features, limits.idleMs)),
    DoExchange: streaming(exchangeHandler(features, limits.idleMs)),
    DoAction: streaming(async (stream: ServerWritableStream<Action, { body: Buffer }>, call) => {
      const { type, body } = stream.request;
      const action = actions.find((one) => one.type === type);
      if (!action) throw new DomainError('not_implemented', `There is no action "${type}".`, { type });
      const results = mapped(action.run(body, call), (result) => ({ body: result }));
      await writeMessages(stream, results, call, limits.idleMs);
    }),
    ListActions: streaming((stream: ServerWritableStream<object, object>, call) =>
      writeMessages(stream, listed.map(({ type, description }) => ({ type, description })), call, limits.idleMs),
    ), // prettier-ignore
    // Everything that can be read is ready as soon as it is asked for.
    PollFlightInfo: unary(async (descriptor: FlightDescriptor, call) => ({
      info: await flightInfo(deps, await resolve(features, descriptor, call), descriptor, call),
      flight_descriptor: null,
      progress: 1,
      expiration_time: null,
    })),
  };
}

/** Each call is opened before it is answered, and ends with what was thrown, or with OK. */
function wrappers(deps: FlightDeps) {
  const { log, stopping } = deps;

  async function answered<To extends AnyCall & { readonly request?: unknown }, Answer>(
    to: To,
    answer: (call: Call) => Promise<Answer>,
  ) {
    const signal = signalOf(to, stopping);
    try {
      requireDecoded(to.request);
      return await answer(await openCall(deps, to, signal));
    } catch (error) {
      // Why it was cut says more than what broke by that.
      throw grpcFailure(isDomainError(signal.reason) ? signal.reason : error, log);
    }
  }
  return {
    unary:
      <Request, Response>(answer: (request: Request, call: Call) => Promise<Response>) =>
      (to: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void =>
        void answered(to, async (call) => {
          const response = await answer(to.request, call);
          if (hasSome(call.headers)) to.sendMetadata(call.headers);
          return response;
        }).then((response) => reply(null, response), reply),
    streaming:
      <Stream extends AnyCall & Failing & { end(): unknown }>(answer: (stream: Stream, call: Call) => Promise<void>) =>
      (stream: Stream): void =>
        void answered(stream, (call) => answer(stream, call)).then(
          () => stream.end(),
          (failure: object) => stream.emit('error', failure),
        ),
  };
}

const hasSome = (metadata: Metadata): boolean => Object.keys(metadata.getMap()).length > 0;

async function* listFlights(deps: FlightDeps, { expression }: Criteria, call: Call): AsyncGenerator<FlightInfo> {
  const schema = expression.length === 0 ? undefined : schemaNamed(expression.toString());
  for (const table of await deps.tables.list(call.project, schema)) {
    const descriptor = { type: 'PATH', cmd: Buffer.alloc(0), path: [table.project, table.schema, table.name] } as const;
    yield await listedFlightInfo(deps, tableReadable(table, deps), descriptor, call);
  }
}
