import { join } from 'node:path';
import {
  Metadata,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { PinnedTable, TableReader } from '../../domain/tables.js';
import { headerOnlyFrame } from '../../lake/read/message.js';
import type { Reader } from '../../lake/read/reader.js';
import { encapsulated } from '../../lake/read/schema.js';
import type { Batch } from '../../lake/read/stream.js';
import type { Logger } from '../log.js';
import { projectNamed, schemaNamed, tableNameOf } from './descriptor.js';
import { grpcFailure } from './failures.js';
import { writeFrames } from './framing.js';
import { flightInfo, listedFlightInfo } from './info.js';
import { holding } from './leases.js';
import type { Criteria, FlightDescriptor, FlightInfo, Ticket } from './protocol.js';
import type { Tickets } from './ticket.js';

export interface FlightDeps {
  readonly tables: TableReader;
  readonly reader: Reader;
  readonly tickets: Tickets;
  readonly log: Logger;
  /** Object keys are relative to this folder. */
  readonly lakeRoot: string;
  readonly limits: FlightLimits;
  /** Fires when streams that are still open must end. */
  readonly stopping: AbortSignal;
}

export interface FlightLimits {
  readonly streamsMax: number;
  /** A client that takes nothing for so long loses its stream. */
  readonly idleMs: number;
}

export const projectKey = 'eider-project';

/** The calls of Flight that we answer; the rest says so. */
export function flightHandlers(deps: FlightDeps): UntypedServiceImplementation {
  const { tables, reader, tickets, log } = deps;
  const doGet = doGetHandler(deps);
  const find = ({ descriptor, metadata }: { descriptor: FlightDescriptor; metadata: Metadata }) => {
    const { project, schema, name } = tableNameOf(descriptor, projectOf(metadata));
    return tables.resolve(project, schema, name);
  };
  const unary =
    <Request, Response>(answer: (request: Request, metadata: Metadata) => Promise<Response>) =>
    (
      call: Parameters<handleUnaryCall<Request, Response>>[0],
      reply: Parameters<handleUnaryCall<Request, Response>>[1],
    ) =>
      void answer(call.request, call.metadata).then(
        (response) => reply(null, response),
        (error: unknown) => reply(grpcFailure(error, log)),
      );
  const refuse = (name: string) => new DomainError('not_implemented', `${name} is not supported.`);
  const refused = (name: string) => (call: { emit(event: 'error', error: object): boolean }) =>
    void call.emit('error', grpcFailure(refuse(name), log));

  return {
    Handshake: handshake,
    ListFlights: ((call) =>
      void (async () => {
        const expression = call.request.expression.toString();
        const schema = expression === '' ? undefined : schemaNamed(expression);
        const listed = await tables.list(projectNamed(projectOf(call.metadata)), schema);
        await tables.promise(listed, tickets.lifetimeMs);
        for (const table of listed) call.write(listedFlightInfo(table, reader, tickets));
        call.end();
      })().catch((error: unknown) => call.emit('error', grpcFailure(error, log)))) satisfies handleServerStreamingCall<
      Criteria,
      FlightInfo
    >,
    GetFlightInfo: unary(async (descriptor: FlightDescriptor, metadata) => {
      const table = await find({ descriptor, metadata });
      await tables.promise([table], tickets.lifetimeMs);
      return flightInfo(table, descriptor, reader, tickets);
    }),
    GetSchema: unary(async (descriptor: FlightDescriptor, metadata) => ({
      schema: encapsulated(reader.schema((await find({ descriptor, metadata })).columns)),
    })),
    DoGet: doGet,
    ListActions: (call: ServerWritableStream<unknown, unknown>) => void call.end(),
    PollFlightInfo: unary(() => Promise.reject(refuse('PollFlightInfo'))),
    DoAction: refused('DoAction'),
    DoPut: refused('DoPut'),
    DoExchange: refused('DoExchange'),
  };
}

const projectOf = (metadata: Metadata): string | undefined => metadata.get(projectKey)[0]?.toString();

/** Open to everybody: whoever asks for a token gets one that says so. Clients look for it in headers or in trailers. */
function handshake(call: ServerDuplexStream<unknown, unknown>): void {
  const token = new Metadata();
  token.set('authorization', 'Bearer anonymous');
  call.sendMetadata(token);
  call.on('data', () => call.write({ protocol_version: 0, payload: Buffer.alloc(0) }));
  call.on('end', () => call.end(token));
}

function doGetHandler(deps: FlightDeps) {
  const { tables, reader, tickets, log, lakeRoot, limits, stopping } = deps;
  let open = 0;

  /** The schema comes first, also when there are no rows. */
  async function* batchesOf(table: PinnedTable, signal: AbortSignal): AsyncGenerator<Batch, void, void> {
    yield { frame: headerOnlyFrame(reader.schema(table.columns)), release: () => undefined };
    const files = table.files.map(({ key, rows }) => ({ path: join(lakeRoot, key), rows }));
    yield* reader.stream({ files, columns: table.columns, signal });
  }

  async function send(call: ServerWritableStream<Ticket, Buffer>): Promise<void> {
    const cancelled = new AbortController();
    call.on('cancelled', () => cancelled.abort());
    const pinned = tickets.open(call.request.ticket);
    const { project, schema, name, revision, snapshot } = pinned;
    if (open >= limits.streamsMax)
      throw new DomainError('streams_exhausted', `${open} streams are open, which is the limit.`, { open });
    open++;
    const started = Date.now();
    try {
      const table = await holding(deps, pinned, async () => {
        const found = await tables.at(project, schema, name, revision, snapshot);
        const signal = AbortSignal.any([cancelled.signal, stopping]);
        await writeFrames(call, batchesOf(found, signal), limits.idleMs, signal);
        return found;
      });
      log.debug('sent', { project, schema, name, revision, snapshot, rows: table.rows, ms: Date.now() - started });
    } catch (error) {
      throw stopping.aborted ? new DomainError('service_stopping', 'The stream was cut.', {}, { cause: error }) : error;
    } finally {
      open--;
      cancelled.abort();
    }
    call.end();
  }

  return (call: ServerWritableStream<Ticket, Buffer>): void => {
    send(call).catch((error: unknown) => call.emit('error', grpcFailure(error, log)));
  };
}
