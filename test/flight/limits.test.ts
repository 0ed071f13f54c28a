import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { startFlight, type FlightServer } from '../../apps/flight/server.js';
import { createLogger } from '../../apps/log.js';
import { until } from '../../programs/waiting.js';
import { startProxy } from '../support/proxy.js';
import { createTestLake, type TestLake } from './lake.js';
import { grpcClient, protoFolder, refusal, type GrpcClient } from './client.js';

/** What a client can make the service hold, and that all of it is given back. */

const isLong = process.env['EIDER_LONG'] !== undefined;
const streamsMax = 4;
let lake: TestLake;
let flight: FlightServer;
let client: GrpcClient;
beforeAll(async () => {
  lake = await createTestLake();
  await lake.add('large', ['SELECT i, hash(i) AS h FROM range(2000000) t(i)']);
  await lake.add('small', ['SELECT i FROM range(1000) t(i)']);
  const log = createLogger('flight', 'error', () => undefined);
  flight = await startFlight({
    ...{
      host: '127.0.0.1',
      port: 0,
      lakeRoot: lake.root,
      protoFolder,
      tables: lake.reader,
      log,
      limits: { streamsMax },
    },
  });
  client = grpcClient(flight.port);
});
afterAll(async () => {
  client.close();
  await flight.stop(0);
  lake.remove();
});

const path = (name: string) => ['eider', 'features', name];
const ticketOf = async (name: string) => (await client.info(path(name))).endpoint[0]?.ticket.ticket as Buffer;
const isIdle = () => until(() => flight.activeStreams() === 0, 5_000, { everyMs: 5 });

test('a connection is told how much it may send ahead, how many streams it has and how long headers may be', async () => {
  const session = connect(`http://127.0.0.1:${flight.port}`);
  const [settings] = (await once(session, 'remoteSettings')) as [Record<string, number>];
  expect(settings).toMatchObject({ initialWindowSize: 4 * 2 ** 20, maxConcurrentStreams: 256, maxHeaderListSize: 65_536 }); // prettier-ignore
  const windowGrew = () => (session.state.remoteWindowSize ?? 0) === 8 * 2 ** 20;
  expect(await until(windowGrew, 5_000, { everyMs: 5 })).toBe(true);
  session.close();
});

test('headers of 32 KB are taken, as BI tools send them; of 200 KB they are not, and the next call is answered', async () => {
  const said = (bytes: number) => ({ metadata: { 'x-long': 'x'.repeat(bytes) } });
  expect((await client.info(path('small'), said(32_000))).total_records).toBe(1000);
  const other = grpcClient(flight.port);
  await expect(other.info(path('small'), said(200_000))).rejects.toThrow();
  other.close();
  expect((await client.info(path('small'))).total_records).toBe(1000);
});

test('a message of more than 64 MiB is refused', async () => {
  const huge = { type: 'CMD', cmd: Buffer.alloc(64 * 2 ** 20) };
  await expect(client.unary('GetFlightInfo', huge)).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
});

test.each([
  ['long', 'x'.repeat(20_000)],
  ['of characters that take much to send', '🦆'.repeat(5_000)],
  ['not quite text', 'half a \ud83e duck'],
])('a name that is %s is answered by a sentence that every client can take', async (_, name) => {
  const { code, details } = await refusal(client.info(path(name)));
  expect(code).toBe('table_unknown');
  expect(encodeURI(details).length).toBeLessThan(4_100);
});

test.each(['GetFlightInfo', 'GetSchema', 'PollFlightInfo', 'ListFlights', 'DoGet'])(
  'a deadline ends %s when the catalogue does not answer',
  async (name) => {
    const never = () => new Promise<never>(() => undefined);
    const log = createLogger('flight', 'error', () => undefined);
    const tables = { ...lake.reader, resolve: never, at: never, list: never };
    const hanging = await startFlight({ host: '127.0.0.1', port: 0, lakeRoot: lake.root, protoFolder, tables, log });
    const caller = grpcClient(hanging.port);
    const request = { type: 'PATH', path: path('small'), ticket: await ticketOf('small') };
    const { code } = await caller.seen(name, name === 'ListFlights' ? {} : request, {
      metadata: { 'grpc-timeout': '50m' },
    });
    expect(code).toBe(status.DEADLINE_EXCEEDED);
    caller.close();
    await hanging.stop(0);
  },
);

test('dropped connections leave nothing behind: no stream, no file, little memory', async () => {
  const ticket = await ticketOf('large');
  const proxy = await startProxy(flight.port);
  const openFiles = () => readdirSync('/proc/self/fd').length;
  const dropOne = async () => {
    const leaving = grpcClient(proxy.port);
    const call = leaving.open('DoGet', { ticket });
    call.on('error', () => undefined);
    await once(call, 'readable');
    const ended = new Promise((resolve) => call.on('status', resolve));
    proxy.drop();
    await ended;
    leaving.close();
    expect(await until(() => flight.activeStreams() === 0, 2_000, { everyMs: 2 })).toBe(true);
  };
  for (let warm = 0; warm < 10; warm++) await dropOne();
  const [files, bytes] = [openFiles(), process.memoryUsage().rss];
  for (let drops = 0; drops < (isLong ? 500 : 40); drops++) await dropOne();
  expect(await until(() => openFiles() <= files + 2, 2_000)).toBe(true);
  expect(process.memoryUsage().rss - bytes).toBeLessThan(100 * 2 ** 20);
  proxy.close();
}, 120_000);

test('ten times as many readers as there are streams are served whole or refused, and nothing is left of it', async () => {
  const ticket = await ticketOf('large');
  const whole = (await client.seen('DoGet', { ticket })).messages.length;
  const endAt = Date.now() + (isLong ? 60_000 : 2_000);
  const outcomes = { served: 0, refused: 0 };
  const readOn = async () => {
    while (Date.now() < endAt) {
      const { code, trailers, messages } = await client.seen('DoGet', { ticket });
      if (code === status.OK) expect([messages.length, outcomes.served++]).toEqual([whole, expect.any(Number)]);
      else expect([code, trailers['eider-code'], outcomes.refused++]).toEqual([status.RESOURCE_EXHAUSTED, 'streams_exhausted', expect.any(Number)]); // prettier-ignore
    }
  };
  await Promise.all(Array.from({ length: 10 * streamsMax }, readOn));
  expect(outcomes.served).toBeGreaterThan(0);
  expect(outcomes.refused).toBeGreaterThan(0);
  expect(await isIdle()).toBe(true);
  expect((await client.seen('DoGet', { ticket })).code).toBe(status.OK);
}, 120_000);
