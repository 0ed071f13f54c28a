import type { ServerHttp2Session } from 'node:http2';
import type { Server as NetServer } from 'node:net';
import { Server, type ServerCredentials } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';

/** What a client may send in one message: a batch of DoPut. Other requests are names, statements and tickets. */
const receiveBytesMax = 64 * 2 ** 20;
/** Of one connection; what waits beyond it waits at the client. */
const streamsMax = 256;
const connectionsMax = 1_024;
/** Of all headers of a request; BI tools send more than 8 KiB of them. */
const headerBytesMax = 64 * 2 ** 10;
/**
 * What a client may send ahead of what was read: of a stream, and of a connection, which bounds its memory here. With
 * Node's 64 KiB an upload over 20 ms of network is 3 MB/s.
 */
const streamWindowBytes = 4 * 2 ** 20;
const connectionWindowBytes = 8 * 2 ** 20;

const options = {
  'grpc.max_receive_message_length': receiveBytesMax,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': streamsMax,
  // Connections through load balancers, which drop what is silent.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.enable_channelz': 0,
};

const drainMsDefault = 8_000;
/** For a client to take the status of a stream that was cut. */
const farewellMs = 500;

/** What grpc-js keeps to itself; its version is pinned, and a test measures each of these. */
interface Inner {
  readonly commonServerOptions: { settings?: Record<string, number> };
  readonly http2Servers: ReadonlyMap<NetServer, unknown>;
}

export function createTransport(): Server {
  const server = new Server(options);
  const { commonServerOptions } = innerOf(server);
  commonServerOptions.settings = {
    ...commonServerOptions.settings,
    initialWindowSize: streamWindowBytes,
    maxHeaderListSize: headerBytesMax,
  };
  return server;
}

/** The port that it listens on; throws `port_busy`. */
export async function listen(
  server: Server,
  host: string,
  port: number,
  credentials: ServerCredentials,
): Promise<number> {
  const address = `${hostInUrl(host)}:${port}`;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, at) => {
      if (error === null) resolve(at);
      else
        reject(
          new DomainError('port_busy', `${address} is in use; Flight needs it.`, { host, port }, { cause: error }),
        );
    });
  });
  for (const listening of innerOf(server).http2Servers.keys()) {
    listening.maxConnections = connectionsMax;
    listening.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(connectionWindowBytes));
  }
  return bound;
}

export const hostInUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** New calls are refused at once; open streams may end by themselves, then are ended with a status, then without. */
export async function drain(server: Server, stopping: AbortController, drainMs = drainMsDefault): Promise<void> {
  const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const cut = setTimeout(() => stopping.abort(new DomainError('service_stopping', 'The stream was cut.')), drainMs);
  const force = setTimeout(() => server.forceShutdown(), drainMs + farewellMs);
  await ended;
  clearTimeout(cut);
  clearTimeout(force);
}

function innerOf(server: Server): Inner {
  const inner = server as unknown as Inner;
  if (typeof inner.commonServerOptions === 'object' && inner.http2Servers instanceof Map) return inner;
  throw new DomainError('internal', 'grpc-js does not have its HTTP/2 server where it was.');
}
