import { Server, ServerCredentials } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { TableReader } from '../../domain/tables.js';
import { openEncodedCache } from '../../lake/encoded/cache.js';
import { createReader, workersDefault, type ReaderOptions } from '../../lake/read/reader.js';
import type { Logger } from '../log.js';
import { flightService } from './protocol.js';
import type { FlightFeature } from './feature.js';
import type { FlightLimits } from './get.js';
import { flightHandlers } from './service.js';
import { tablesKind } from './tables.js';
import { createTickets, ticketLifetimeMs } from './ticket.js';

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
  /** Where results are kept as they were sent, and how many bytes; absent: nothing is kept. */
  readonly encoded?: { readonly folder: string; readonly bytesMax: number };
}

export interface FlightServer {
  readonly url: string;
  readonly port: number;
  /** Streams that DuckDB is read for. */
  activeStreams(): number;
  /** Lets open streams end, up to `drainMs`, then cuts them. */
  stop(drainMs?: number): Promise<void>;
}

/** An erasure is done here, too, when this time has passed. */
const sweepEveryMs = 60_000;
const limitsDefault: FlightLimits = { streamsMax: 32, idleMs: 300_000 };
const drainMsDefault = 8_000;
/** For a client to take the status of a stream that was cut. */
const farewellMs = 500;

/** Requests are names and tickets; what is larger was meant for a call that we refuse anyway, and should hear why. */
const receiveBytesMax = 64 * 2 ** 20;

const serverOptions = {
  'grpc.max_receive_message_length': receiveBytesMax,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': 256,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.enable_channelz': 0,
};

/** Starts the Flight service; throws `port_busy`. */
export async function startFlight(settings: FlightSettings): Promise<FlightServer> {
  const { tables, log, lakeRoot, host } = settings;
  const tickets = createTickets(await tables.ticketKey(), settings.ticketLifetimeMs ?? ticketLifetimeMs);
  const readerDefaults = { threads: 2, memoryLimit: null, workers: workersDefault };
  const reader = await createReader({ ...readerDefaults, ...settings.reader, lakeRoot });
  const limits = { ...limitsDefault, ...settings.limits };
  const features: FlightFeature[] = [{ readables: [tablesKind({ tables, lakeRoot })] }];
  const encoded = await openEncodedCache({
    ...(settings.encoded ?? { folder: '', bytesMax: 0 }),
    warn: (message, data) => log.warn(message, data),
  });
  const sweeping = setInterval(() => {
    encoded.sweep().catch((error: unknown) => log.warn('encoded results were not swept', { error }));
  }, sweepEveryMs).unref();
  const stopping = new AbortController();
  const server = new Server(serverOptions);
  server.addService(
    flightService(settings.protoFolder),
    flightHandlers({ tables, reader, encoded, tickets, log, lakeRoot, limits, features, stopping: stopping.signal }),
  );
  const port = await bind(server, host, settings.port).catch(async (error: unknown) => {
    await reader.close();
    throw error;
  });
  return {
    url: `grpc://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    activeStreams: reader.activeStreams,
    async stop(drainMs = drainMsDefault) {
      clearInterval(sweeping);
      await drain(server, drainMs, stopping);
      await reader.close();
    },
  };
}

function bind(server: Server, host: string, port: number): Promise<number> {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else
        reject(
          new DomainError('port_busy', `${address} is in use; Flight needs it.`, { host, port }, { cause: error }),
        );
    });
  });
}

/** New calls are refused at once; open streams may end by themselves, then are ended with a status, then without. */
async function drain(server: Server, drainMs: number, stopping: AbortController): Promise<void> {
  const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const cut = setTimeout(() => stopping.abort(), drainMs);
  const force = setTimeout(() => server.forceShutdown(), drainMs + farewellMs);
  await ended;
  clearTimeout(cut);
  clearTimeout(force);
}
