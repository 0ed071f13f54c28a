import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Metadata } from '@grpc/grpc-js';
import { ServerCredentials, type handleUnaryCall, type ServerUnaryCall, type UntypedServiceImplementation } from '@grpc/grpc-js'; // prettier-ignore
import { z } from 'zod';
import { keyedAccess, openAccess, type Access } from '../../../apps/flight/access.js';
import { flightActions } from '../../../apps/flight/actions.js';
import type { ActionTaker, FlightFeature } from '../../../apps/flight/feature.js';
import { writeFrames } from '../../../apps/flight/framing.js';
import { keyFile } from '../../../apps/flight/key-file.js';
import { createOpenFlights } from '../../../apps/flight/open-flights.js';
import type { FlightDescriptor, FlightInfo } from '../../../apps/flight/protocol.js';
import type { ReadableKind } from '../../../apps/flight/readable.js';
import { redeem } from '../../../apps/flight/redeem.js';
import { flightHandlers, type FlightDeps } from '../../../apps/flight/service.js';
import { sessionActions, type OptionCheck } from '../../../apps/flight/session-actions.js';
import { createSessions } from '../../../apps/flight/sessions.js';
import { createTickets } from '../../../apps/flight/ticket.js';
import { createTransport, drain, listen } from '../../../apps/flight/transport.js';
import { createLogger } from '../../../apps/log.js';
import { hashKey } from '../../../domain/keys.js';
import { openEncodedCache } from '../../../lake/encoded/cache.js';
import { createReader, type Reader } from '../../../lake/read/reader.js';
import { messages, service } from '../../flight/client.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';

/** What a scenario wants of a server: what it can read, and what it answers otherwise than ours would. */
export interface Scenario {
  /** By the command of a descriptor: a query for each endpoint. */
  readonly reads?: Readonly<Record<string, readonly string[]>>;
  /** Name and key, in the words of `-scenario auth:basic_proto`. */
  readonly login?: readonly [name: string, key: string];
  readonly actions?: readonly ActionTaker[];
  readonly checkOption?: OptionCheck;
  /** Changes what GetFlightInfo answers. */
  readonly info?: (info: FlightInfo) => FlightInfo;
  /** Headers of every answer, also of failures, by the call's metadata. */
  readonly headers?: (metadata: Metadata) => Metadata;
}

const Queries = z.strictObject({ kind: z.literal('queries'), sql: z.string() });

/** A server of Eider's own Flight layer with the canned data of a scenario. */
export interface ScenarioServer {
  serve(scenario: Scenario): Promise<{ port: number; stop(): Promise<void> }>;
  close(): Promise<void>;
}

export async function createScenarioServer(): Promise<ScenarioServer> {
  const lake = await createTestLake();
  const reader = await createReader({ lakeRoot: lake.root, threads: 1, memoryLimit: null, workers: 1 });
  const folder = mkdtempSync(join(tmpdir(), 'eider-scenario-'));
  return {
    async serve(scenario) {
      const stopping = new AbortController();
      const server = createTransport();
      const deps = await depsOf(scenario, { lake, reader, folder, stopping: stopping.signal });
      server.addService(service, changed(flightHandlers(deps), scenario));
      const port = await listen(server, '127.0.0.1', 0, ServerCredentials.createInsecure());
      return { port, stop: () => drain(server, stopping, 0) };
    },
    async close() {
      await reader.close();
      lake.remove();
      rmSync(folder, { recursive: true });
    },
  };
}

interface Ground {
  readonly lake: TestLake;
  readonly reader: Reader;
  readonly folder: string;
  readonly stopping: AbortSignal;
}

async function depsOf(scenario: Scenario, { lake, reader, folder, stopping }: Ground): Promise<FlightDeps> {
  const log = createLogger('flight', 'error');
  const secret = await lake.reader.ticketKey();
  const [tickets, sessions, flights] = [createTickets(secret), createSessions(), createOpenFlights()];
  const features: FlightFeature[] = [{ readables: [queriesKind(scenario.reads ?? {})] }];
  const deps: FlightDeps = {
    ...{ access: await accessOf(scenario, secret, folder), sessions, flights, tickets, reader, features, log, stopping, writeFrames }, // prettier-ignore
    ...{
      tables: lake.reader,
      lakeRoot: lake.root,
      endpointBytes: Infinity,
      limits: { streamsMax: 8, waitingMax: 8, waitMaxMs: 5_000, idleMs: 5_000 },
    },
    encoded: await openEncodedCache({ folder: '', bytesMax: 0, warn: () => undefined }),
  };
  features.push({ actions: scenario.actions ?? flightActions({ ...deps, messages, redeem: (ticket, call) => redeem(deps, ticket, call) }) }); // prettier-ignore
  if (scenario.checkOption) features.push({ actions: sessionActions(sessions, messages, scenario.checkOption) });
  return deps;
}

async function accessOf({ login }: Scenario, secret: Buffer, folder: string): Promise<Access> {
  if (!login) return openAccess;
  const file = join(folder, 'keys');
  writeFileSync(file, `${login[0]} sha256:${hashKey(login[1])} * never`);
  const keys = await keyFile(file, createLogger('flight', 'error'));
  return keyedAccess({ keys, secret, basicAuth: messages.BasicAuth });
}

function queriesKind(reads: Required<Scenario>['reads']): ReadableKind<z.infer<typeof Queries>> {
  const readable = (contents: z.infer<typeof Queries>[]) => ({
    ...{ contents, pins: [], rows: null, bytes: null, metadata: {} },
    source: {
      ...{ type: 'plan' as const, repeatable: true },
      plan: { setup: [], sql: contents[0]?.sql ?? '', files: [], rows: null },
    },
  });
  return {
    content: Queries,
    resolve: async ({ type, cmd }) => {
      const queries = type === 'CMD' ? reads[cmd.toString()] : undefined;
      return queries ? readable(queries.map((sql) => ({ kind: 'queries', sql }))) : null;
    },
    open: async (content) => readable([content]),
  };
}

/** Our own answers, changed where the scenario’s server is to answer otherwise. */
function changed(ours: UntypedServiceImplementation, { info, headers }: Scenario): UntypedServiceImplementation {
  const getInfo = ours['GetFlightInfo'] as handleUnaryCall<FlightDescriptor, FlightInfo>;
  return {
    ...ours,
    GetFlightInfo: (call: ServerUnaryCall<FlightDescriptor, FlightInfo>, reply: Parameters<typeof getInfo>[1]) => {
      if (headers) call.sendMetadata(headers(call.metadata));
      getInfo(call, (error, answer, ...rest) => reply(error, answer && info ? info(answer) : answer, ...rest));
    },
  };
}
