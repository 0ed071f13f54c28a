import type { Server } from '@grpc/grpc-js';
import { ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { z } from 'zod';
import { createOpenFlights } from '../../apps/flight/open-flights.js';
import { writeFrames, writeMessages, type FrameWriter } from '../../apps/flight/framing.js';
import type { ReadableKind } from '../../apps/flight/readable.js';
import { flightHandlers, type FlightDeps } from '../../apps/flight/service.js';
import { createSessions } from '../../apps/flight/sessions.js';
import { createTickets } from '../../apps/flight/ticket.js';
import { createTransport, listen } from '../../apps/flight/transport.js';
import { createLogger } from '../../apps/log.js';
import { DomainError, type ErrorCode } from '../../domain/errors.js';
import { defaultProject } from '../../domain/ids.js';
import { openEncodedCache } from '../../lake/encoded/cache.js';
import { createReader } from '../../lake/read/reader.js';
import { createTestLake } from './lake.js';
import { service } from './client.js';

/** What a stream does: a query of DuckDB, or an error before there is one. */
const Script = z.strictObject({ kind: z.literal('script'), sql: z.string().optional(), fails: z.string().optional() });
export type Script = Omit<z.infer<typeof Script>, 'kind'>;

/** The same service twice: one writes frames to the HTTP/2 stream, the other lets grpc-js send their messages. */
export interface BothWays {
  readonly raw: number;
  readonly plain: number;
  ticketOf(script: Script): Buffer;
  /** How many frames were made so far, by the port of the service. */
  framesMade(port: number): number;
  activeStreams(): number;
  stop(): Promise<void>;
}

export const token = 'in the headers of every answer';

export async function startBothWays(limits: Partial<FlightDeps['limits']> = {}): Promise<BothWays> {
  const lake = await createTestLake();
  // One thread: an error then comes after the same rows each time.
  const reader = await createReader({ lakeRoot: lake.root, threads: 1, memoryLimit: null, workers: 2 });
  const tickets = createTickets(await lake.reader.ticketKey());
  const scripts: ReadableKind<z.infer<typeof Script>> = {
    content: Script,
    resolve: () => Promise.resolve(null),
    open: async (script) => {
      if (script.fails !== undefined) throw new DomainError(script.fails as ErrorCode, 'As the script says.');
      const plan = { setup: [], sql: script.sql ?? 'SELECT 1 AS a', files: [], rows: null };
      return { contents: [script], pins: [], rows: null, bytes: null, metadata: {}, source: { type: 'plan', plan, repeatable: false } }; // prettier-ignore
    },
  };
  const caller = { principal: 'anonymous', projects: 'all', token } as const;
  const deps: Omit<FlightDeps, 'writeFrames'> = {
    access: { callerOf: () => Promise.resolve(caller), greeted: () => Promise.resolve(caller) },
    ...{ sessions: createSessions(), flights: createOpenFlights(), tickets, reader, tables: lake.reader },
    encoded: await openEncodedCache({ folder: '', bytesMax: 0, warn: () => undefined }),
    ...{ log: createLogger('flight', 'error', () => undefined), lakeRoot: lake.root, endpointBytes: Infinity },
    limits: { streamsMax: 200, waitingMax: 0, waitMaxMs: 0, idleMs: 60_000, ...limits },
    features: [{ readables: [scripts] }],
    stopping: new AbortController().signal,
  };
  const servers: Server[] = [];
  const made = new Map<number, number>();

  async function serve(definition: ServiceDefinition, write: FrameWriter): Promise<number> {
    const server = createTransport();
    let port = 0;
    const counted: FrameWriter = (to, frames, call, idleMs) =>
      write(to, passing(frames, () => made.set(port, (made.get(port) ?? 0) + 1)), call, idleMs); // prettier-ignore
    server.addService(definition, flightHandlers({ ...deps, writeFrames: counted }));
    servers.push(server);
    port = await listen(server, '127.0.0.1', 0, ServerCredentials.createInsecure());
    return port;
  }
  const asBytes = (bytes: Buffer) => bytes;
  const untouched = { ...service, DoGet: { ...service['DoGet'], responseSerialize: asBytes } } as ServiceDefinition;
  return {
    raw: await serve(service, writeFrames),
    plain: await serve(untouched, plainFrames),
    ticketOf: (script) => tickets.sign({ kind: 'script', ...script }, { project: defaultProject, principal: 'anonymous' }), // prettier-ignore
    framesMade: (port) => made.get(port) ?? 0,
    activeStreams: reader.activeStreams,
    async stop() {
      for (const server of servers) server.forceShutdown();
      await reader.close();
      lake.remove();
    },
  };
}

const prefixBytes = 5;

/** As grpc-js does it: it frames each message itself, and says when the client has taken it. */
const plainFrames: FrameWriter = async (to, frames, call, idleMs) => {
  async function* messages() {
    for await (const { frame, release } of frames) {
      yield frame.subarray(prefixBytes);
      release();
    }
  }
  await writeMessages(to, messages(), call, idleMs);
};

async function* passing<One>(ones: AsyncIterable<One>, seen: () => void): AsyncGenerator<One> {
  for await (const one of ones) {
    seen();
    yield one;
  }
}
