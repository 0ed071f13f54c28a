import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, status, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import { codeKey } from '../../apps/flight/failures.js';
import { flightService } from '../../apps/flight/protocol.js';
import { startFlight, type FlightServer, type FlightSettings } from '../../apps/flight/server.js';
import { endpointBytesDefault, tableReadable } from '../../apps/flight/tables.js';
import { createTickets } from '../../apps/flight/ticket.js';
import { defaultProject } from '../../domain/ids.js';
import type { PinnedTable } from '../../domain/tables.js';
import { createLogger } from '../../apps/log.js';
import { createTestLake, type TestLake } from './lake.js';

const protoFolder = fileURLToPath(new URL('../../proto', import.meta.url));
const service = flightService(protoFolder);
let lake: TestLake;
let settings: FlightSettings;
let flight: FlightServer;
let client: Client;

beforeAll(async () => {
  lake = await createTestLake();
  const log = createLogger('flight', 'error', () => undefined);
  settings = { host: '127.0.0.1', port: 0, lakeRoot: lake.root, protoFolder, tables: lake.reader, log };
  flight = await startFlight(settings);
  client = new Client(`127.0.0.1:${flight.port}`, credentials.createInsecure());
});

afterAll(async () => {
  client?.close();
  await flight?.stop(0);
  lake?.remove();
});

const owner = { project: defaultProject, principal: 'anonymous' };
async function ticketOf(table: PinnedTable, lifetimeMs?: number): Promise<Buffer> {
  const [content] = tableReadable(table, { lakeRoot: lake.root, endpointBytes: endpointBytesDefault }).contents;
  return createTickets(await lake.reader.ticketKey(), lifetimeMs).sign(content as never, owner);
}

type Method = MethodDefinition<object, object>;

function unary<Answer>(name: string, request: object): Promise<Answer> {
  const { path, requestSerialize, responseDeserialize } = service[name] as Method;
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), (error, answer) =>
      error ? reject(error) : resolve(answer as Answer),
    ),
  );
}

/** Counts the messages of DoGet; rejects with the status. */
function doGet(ticket: Buffer, from = client): Promise<number> {
  const { path, requestSerialize } = service['DoGet'] as Method;
  const call = from.makeServerStreamRequest(path, requestSerialize, (bytes) => bytes, { ticket }, new Metadata());
  let messages = 0;
  call.on('data', () => messages++);
  return new Promise((resolve, reject) => call.on('error', reject).on('end', () => resolve(messages)));
}

const refusal = async (answer: Promise<unknown>): Promise<ServiceError> =>
  answer.then(
    () => Promise.reject(new Error('It was not refused.')),
    (error: ServiceError) => error,
  );
const path = (...elements: string[]) => ({ type: 'PATH', path: elements });
interface Info {
  endpoint: { ticket: { ticket: Buffer } }[];
}

test('an error carries the status of its row, a sentence, what to do, and its code in the trailing metadata', async () => {
  const error = await refusal(unary('GetFlightInfo', path('eider', 'features', 'nothing')));
  expect(error.code).toBe(status.NOT_FOUND);
  expect(error.details).toBe(
    'There is no such feature view or dataset. There is no "nothing" under features. ListFlights lists what can be read.',
  );
  expect(error.metadata.get(codeKey)).toEqual(['table_unknown']);
});

test.each([
  ['PollFlightInfo', path('a')],
  ['GetFlightInfo', { type: 'CMD', cmd: Buffer.from('SELECT 1') }],
])('%s of %j is refused with a code', async (method, request) => {
  expect((await refusal(unary(method, request))).metadata.get(codeKey)).toHaveLength(1);
});

test('tickets survive a restart of the service, and an expired one is refused', async () => {
  await lake.add('restart', ['SELECT 1 AS a']);
  const info = await unary<Info>('GetFlightInfo', path('eider', 'features', 'restart'));
  const ticket = info.endpoint[0]?.ticket.ticket as Buffer;
  const second = await startFlight(settings);
  const other = new Client(`127.0.0.1:${second.port}`, credentials.createInsecure());
  expect(await doGet(ticket, other)).toBe(2);
  other.close();
  await second.stop();
  const table = await lake.reader.resolve('eider' as never, 'features', 'restart');
  const expired = await ticketOf(table, -1);
  const error = await refusal(doGet(expired));
  expect([error.code, error.metadata.get(codeKey)]).toEqual([status.INVALID_ARGUMENT, ['ticket_expired']]);
});

test('a column that cannot be sent is named by GetSchema as unimplemented', async () => {
  await lake.add('variants', ['SELECT 1 AS v'], { types: { v: 'VARIANT' } });
  const error = await refusal(unary('GetSchema', path('eider', 'features', 'variants')));
  expect([error.code, error.metadata.get(codeKey)]).toEqual([status.UNIMPLEMENTED, ['type_unsupported']]);
  expect(error.details).toContain('"v"');
});

test('a busy port is one clear error', async () => {
  await expect(startFlight({ ...settings, port: flight.port })).rejects.toMatchObject({ code: 'port_busy' });
});

test('when the service stops, an open stream hears that it may try again, and what it held is freed', async () => {
  const table = await lake.add('numbers', ['SELECT i, hash(i) AS h FROM range(2000000) t(i)']);
  const own = await startFlight(settings);
  const reading = new Client(`127.0.0.1:${own.port}`, credentials.createInsecure());
  const { path: method, requestSerialize } = service['DoGet'] as Method;
  const ticket = await ticketOf(table);
  const call = reading.makeServerStreamRequest(method, requestSerialize, (bytes) => bytes, { ticket }, new Metadata());
  const error = new Promise<ServiceError>((resolve) => call.on('error', resolve));
  await new Promise((resolve) => call.once('readable', resolve)); // The first message is there, and stays unread.
  expect(own.activeStreams()).toBe(1);
  const stopped = own.stop(0);
  call.resume();
  await stopped;
  expect(own.activeStreams()).toBe(0);
  expect((await error).code).toBe(status.UNAVAILABLE);
  reading.close();
});
