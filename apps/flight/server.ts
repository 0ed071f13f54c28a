import { ServerCredentials } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { TableReader } from '../../domain/tables.js';
import { openEncodedCache } from '../../lake/encoded/cache.js';
import { createReader, workersDefault, type ReaderOptions } from '../../lake/read/reader.js';
import type { Logger } from '../log.js';
import { keyedAccess, openAccess, type Access } from './access.js';
import { flightActions } from './actions.js';
import type { FlightFeature } from './feature.js';
import { writeFrames } from './framing.js';
import type { FlightLimits } from './get.js';
import { joinsFeature, type JoinSettings } from './joins/feature.js';
import { keyFile } from './key-file.js';
import { createOpenFlights } from './open-flights.js';
import { flightMessages, flightService, type FlightMessages } from './protocol.js';
import { redeem } from './redeem.js';
import { flightHandlers, type FlightDeps } from './service.js';
import { sqlFeature } from './sql/feature.js';
import { sessionActions } from './session-actions.js';
import { createSessions } from './sessions.js';
import { endpointBytesDefault, tablesKind } from './tables.js';
import { createTickets, ticketLifetimeMs } from './ticket.js';
import { fileCredentials, type TlsFiles } from './tls.js';
import { createTransport, drain, hostInUrl, listen } from './transport.js';

export interface FlightSettings {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Absolute: `<home>/lake`. */
  readonly lakeRoot: string;
  /** The folder of Flight.proto. */
  readonly protoFolder: string;
  readonly tables: TableReader;
  readonly log: Logger;
  readonly reader?: Partial<Omit<ReaderOptions, 'lakeRoot'>>;
  readonly limits?: Partial<FlightLimits>;
  readonly ticketLifetimeMs?: number;
  readonly endpointBytes?: number;
  /** How long DuckDB may work on one statement of a client. */
  readonly statementTimeMs?: number;
  /** Where results are kept as they were sent, and how many bytes; absent: nothing is kept. */
  readonly encoded?: { readonly folder: string; readonly bytesMax: number };
  /** What joins, and spines that are put, are made with; absent: there are none. */
  readonly joins?: JoinSettings;
  /** The file of the keys that callers need; null: anybody may call, which other hosts than loopback need `open` for. */
  readonly keys?: string | null;
  readonly open?: boolean;
  /** Null: without encryption. */
  readonly tls?: TlsFiles | null;
}

export interface FlightServer {
  readonly url: string;
  readonly port: number;
  /** Streams that DuckDB is read for. */
  activeStreams(): number;
  /** Lets open streams end, up to `drainMs`, then cuts them. */
  stop(drainMs?: number): Promise<void>;
}

const statementTimeMsDefault = 300_000;
const sqlSettings = ({ protoFolder, statementTimeMs = statementTimeMsDefault }: FlightSettings) => ({ protoFolder, statementTimeMs }); // prettier-ignore

/** An erasure is done here, too, when this time has passed. */
const sweepEveryMs = 60_000;
const limitsDefault: FlightLimits = { streamsMax: 32, waitingMax: 32, waitMaxMs: 5_000, idleMs: 300_000 };
/** Starts the Flight service; throws `port_busy` or `config_invalid`. */
export async function startFlight(settings: FlightSettings): Promise<FlightServer> {
  const { tables, log, lakeRoot, host, endpointBytes = endpointBytesDefault } = settings;
  const secret = await tables.ticketKey();
  const messages = flightMessages(settings.protoFolder);
  const access = await accessOf(settings, secret, messages);
  const tls = settings.tls ? await fileCredentials(settings.tls, log) : null;
  const tickets = createTickets(secret, settings.ticketLifetimeMs ?? ticketLifetimeMs);
  const readerDefaults = { threads: 2, memoryLimit: null, workers: workersDefault };
  const reader = await createReader({
    ...readerDefaults,
    ...settings.reader,
    lakeRoot,
    scratch: settings.joins?.scratch,
  });
  const limits = { ...limitsDefault, ...settings.limits };
  const encoded = await openEncodedCache({
    ...(settings.encoded ?? { folder: '', bytesMax: 0 }),
    warn: (message, data) => log.warn(message, data),
  });
  const sweeping = setInterval(() => {
    encoded.sweep().catch((error: unknown) => log.warn('encoded results were not swept', { error }));
  }, sweepEveryMs).unref();
  const stopping = new AbortController();
  const [sessions, flights] = [createSessions(), createOpenFlights()];
  const features: FlightFeature[] = [{ readables: [tablesKind({ tables, lakeRoot, endpointBytes })] }];
  const deps: FlightDeps = {
    ...{
      access,
      sessions,
      flights,
      tables,
      reader,
      encoded,
      tickets,
      log,
      lakeRoot,
      limits,
      features,
      writeFrames,
      endpointBytes,
    },
    stopping: stopping.signal,
  };
  features.push(
    { actions: flightActions({ ...deps, messages, redeem: (ticket, call) => redeem(deps, ticket, call) }) },
    { actions: sessionActions(sessions, messages) },
    sqlFeature({ ...deps, messages, ...sqlSettings(settings) }),
  );
  const joins = settings.joins ? await joinsFeature(settings.joins, { tables, reader, lakeRoot, log }) : null;
  if (joins) features.push(joins);
  const server = createTransport();
  server.addService(flightService(settings.protoFolder), flightHandlers(deps));
  const credentials = tls?.credentials ?? ServerCredentials.createInsecure();
  const port = await listen(server, host, settings.port, credentials).catch(async (error: unknown) => {
    await reader.close();
    throw error;
  });
  return {
    url: `${tls ? 'grpc+tls' : 'grpc'}://${hostInUrl(host)}:${port}`,
    port,
    activeStreams: reader.activeStreams,
    async stop(drainMs) {
      clearInterval(sweeping);
      tls?.stop();
      await drain(server, stopping, drainMs);
      await joins?.close();
      await reader.close();
    },
  };
}

async function accessOf(settings: FlightSettings, secret: Buffer, messages: FlightMessages): Promise<Access> {
  const { host, keys, open, log } = settings;
  if (keys) return keyedAccess({ keys: await keyFile(keys, log), secret, basicAuth: messages.BasicAuth });
  if (!isLoopback(host) && !open)
    throw new DomainError('config_invalid', `Flight shall listen on ${host}, where others can reach it, without keys. Set EIDER_FLIGHT_KEYS, or EIDER_FLIGHT_OPEN=yes when nobody but you can reach it.`, { host }); // prettier-ignore
  return openAccess;
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
