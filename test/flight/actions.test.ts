import { status } from '@grpc/grpc-js';
import { startFlight, type FlightServer, type FlightSettings } from '../../apps/flight/server.js';
import { createSessions } from '../../apps/flight/sessions.js';
import { createOpenFlights } from '../../apps/flight/open-flights.js';
import { createLogger } from '../../apps/log.js';
import type { FlightInfo, SessionOptionValue } from '../../apps/flight/protocol.js';
import { until } from '../../programs/waiting.js';
import { createTestLake, type TestLake } from './lake.js';
import { grpcClient, messages, protoFolder, refusal, seenOf, type GrpcClient, type Said } from './client.js';

const promised: { pins: readonly object[]; forMs: number }[] = [];
let lake: TestLake;
let settings: FlightSettings;
let flight: FlightServer;
let client: GrpcClient;

beforeAll(async () => {
  lake = await createTestLake();
  await lake.add('small', ['SELECT 1 AS a']);
  await lake.add('large', ['SELECT i, hash(i) AS h FROM range(2000000) t(i)']);
  const tables = { ...lake.reader, promise: (pins: readonly object[], forMs: number) => Promise.resolve(void promised.push({ pins, forMs })) }; // prettier-ignore
  const log = createLogger('flight', 'error', () => undefined);
  settings = { host: '127.0.0.1', port: 0, lakeRoot: lake.root, protoFolder, tables, log };
  flight = await startFlight(settings);
  client = grpcClient(flight.port);
});
afterAll(async () => {
  client.close();
  await flight.stop(0);
  lake.remove();
});

const info = (name: string) => client.info(['eider', 'features', name]);
const ticketsOf = ({ endpoint }: FlightInfo) => endpoint.map(({ ticket }) => ticket.ticket);
const read = async (info: FlightInfo) => client.seen('DoGet', { ticket: ticketsOf(info)[0] });

test('ListActions names every action', async () => {
  const { messages: listed } = await client.seen('ListActions', {});
  const names = ['CancelFlightInfo', 'RenewFlightEndpoint', 'SetSessionOptions', 'GetSessionOptions', 'CloseSession'];
  for (const name of names) expect(listed.some((one) => one.includes(name))).toBe(true);
});

test('PollFlightInfo answers all at once: nothing to poll for, progress 1, no expiration', async () => {
  const poll = await client.unary<object>('PollFlightInfo', { type: 'PATH', path: ['eider', 'features', 'small'] });
  expect(poll).toMatchObject({ flight_descriptor: null, progress: 1, expiration_time: null, info: { total_records: 1 } }); // prettier-ignore
});

describe('CancelFlightInfo', () => {
  const cancel = async (of: FlightInfo) => {
    const { body } = await client.action(
      'CancelFlightInfo',
      messages.CancelFlightInfoRequest.serialize({ info: { ...of, total_records: 0, total_bytes: 0 } }),
    );
    return messages.CancelFlightInfoResult.deserialize(body).status;
  };

  test('ends the streams of its FlightInfo and of no other, and refuses its tickets afterwards', async () => {
    const [first, second] = [await info('large'), await info('large')];
    const calls = [first, first, second].map((one) => client.open('DoGet', { ticket: ticketsOf(one)[0] }));
    await Promise.all(calls.map((call) => new Promise((resolve) => call.once('readable', resolve))));
    expect(flight.activeStreams()).toBe(3);
    expect(await cancel(first)).toBe('CANCEL_STATUS_CANCELLED');
    const seen = await Promise.all(calls.map(seenOf));
    expect(seen.map(({ code }) => code)).toEqual([status.CANCELLED, status.CANCELLED, status.OK]);
    expect(await until(() => flight.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
    expect(await read(first)).toMatchObject({ trailers: { 'eider-code': 'ticket_cancelled' }, messages: [] });
  });

  test('may be asked again, and of what was never read', async () => {
    const unread = await info('small');
    expect(await cancel(unread)).toBe('CANCEL_STATUS_CANCELLED');
    expect(await cancel(unread)).toBe('CANCEL_STATUS_CANCELLED');
  });

  test('cannot cancel what has expired, what has no endpoint, and what is not ours', async () => {
    const brief = await startFlight({ ...settings, ticketLifetimeMs: -1 });
    const other = grpcClient(brief.port);
    const expired = await other.info(['eider', 'features', 'small']);
    other.close();
    await brief.stop(0);
    expect(await cancel(expired)).toBe('CANCEL_STATUS_NOT_CANCELLABLE');
    expect(await cancel({ ...expired, endpoint: [] })).toBe('CANCEL_STATUS_NOT_CANCELLABLE');
    const foreign = expired.endpoint.map((endpoint) => ({ ...endpoint, ticket: { ticket: Buffer.from('x') } }));
    expect(await refusal(cancel({ ...expired, endpoint: foreign }))).toMatchObject({ code: 'ticket_invalid' });
  });

  test('forgets the oldest of ten thousand', () => {
    const flights = createOpenFlights();
    for (let flight = 0; flight <= 10_000; flight++) flights.cancel(`${flight}`);
    expect(() => flights.requireGood('0')).not.toThrow();
    expect(() => flights.requireGood('1')).toThrow(expect.objectContaining({ code: 'ticket_cancelled' }));
  });
});

describe('RenewFlightEndpoint', () => {
  const instantOf = ({ endpoint: [first] }: Pick<FlightInfo, 'endpoint'>) =>
    Number(first?.expiration_time?.seconds) * 1000 + Number(first?.expiration_time?.nanos) / 1e6;
  const renew = async (of: FlightInfo) => {
    const [endpoint] = of.endpoint;
    const body = messages.RenewFlightEndpointRequest.serialize({ endpoint: endpoint ?? null });
    return { ...of, endpoint: [messages.FlightEndpoint.deserialize((await client.action('RenewFlightEndpoint', body)).body)] }; // prettier-ignore
  };

  test('answers the same rows by a new ticket that is good for longer, and the snapshot is promised as long', async () => {
    const first = await info('small');
    promised.length = 0;
    const later = await renew(first);
    expect(instantOf(later)).toBeGreaterThan(instantOf(first));
    expect(promised).toEqual([{ pins: [expect.objectContaining({ name: 'small', snapshot: 1 })], forMs: 3_600_000 }]);
    expect(ticketsOf(later)).not.toEqual(ticketsOf(first));
    expect((await read(later)).messages).toEqual((await read(first)).messages);
  });

  test('is cancelled with what it was renewed from', async () => {
    const first = await info('small');
    const later = await renew(first);
    await client.action('CancelFlightInfo', messages.CancelFlightInfoRequest.serialize({ info: first }));
    expect(await read(later)).toMatchObject({ trailers: { 'eider-code': 'ticket_cancelled' } });
    expect(await refusal(renew(later))).toMatchObject({ code: 'ticket_cancelled' });
  });
});

test.each(['CancelFlightInfo', 'RenewFlightEndpoint'])(
  '%s without a body, and with one that is no message, is refused',
  async (type) => {
    for (const body of [Buffer.alloc(0), Buffer.from([255, 255, 255])])
    expect(await refusal(client.action(type, body))).toMatchObject({ code: 'action_invalid', status: status.INVALID_ARGUMENT }); // prettier-ignore
  },
);

describe('a session', () => {
  const text = (value: string): SessionOptionValue => ({ option_value: 'string_value', string_value: value });
  const set = async (options: Record<string, SessionOptionValue>, said?: Said) => {
    const request = messages.SetSessionOptionsRequest.serialize({ session_options: options });
    const { body, headers } = await client.action('SetSessionOptions', request, said);
    return { ...messages.SetSessionOptionsResult.deserialize(body), headers };
  };
  const get = async (said?: Said) => {
    const { body, headers } = await client.action('GetSessionOptions', Buffer.alloc(0), said);
    return { options: messages.GetSessionOptionsResult.deserialize(body).session_options, headers };
  };
  /** By a cookie, among others, as Arrow's own clients; or by metadata. */
  const within = async (
    options: Record<string, SessionOptionValue>,
    how: 'cookie' | 'metadata' = 'cookie',
  ): Promise<Said> => {
    const { headers } = await set(options);
    const [cookie] = headers.get('set-cookie')[0]?.toString().split(';') ?? [];
    const id = headers.get('arrow_flight_session_id')[0]?.toString() as string;
    return { metadata: how === 'cookie' ? { cookie: `a=b; ${cookie}` } : { arrow_flight_session_id: id } };
  };

  test.each(['cookie', 'metadata'] as const)('is known by its %s, until it is closed', async (how) => {
    const said = await within({ schema: text('datasets'), compression: text('zstd') }, how);
    expect((await get(said)).options).toMatchObject({ schema: text('datasets'), compression: text('zstd') });
    expect((await set({ schema: {} }, said)).errors).toEqual({});
    expect(Object.keys((await get(said)).options)).toEqual(['compression']);
    const { body, headers } = await client.action('CloseSession', Buffer.alloc(0), said);
    expect(messages.CloseSessionResult.deserialize(body)).toEqual({ status: 'CLOSED' });
    expect(headers.get('set-cookie')[0]).toContain('Max-Age=0');
    expect(await refusal(get(said))).toMatchObject({ code: 'session_unknown', status: status.NOT_FOUND });
    // Whatever it calls: what it set would silently be forgotten.
    expect(await refusal(client.info(['eider', 'features', 'small'], said))).toMatchObject({ code: 'session_unknown' });
  });

  test('is not opened by asking for its options', async () => {
    const { options, headers } = await get();
    expect([options, headers.get('set-cookie')]).toEqual([{}, []]);
  });

  test('takes what it knows, and says of each other option what is wrong with it', async () => {
    const { errors } = await set({
      catalog: text('shop'),
      schema: text('tables'),
      compression: { option_value: 'int64_value', int64_value: 3 },
      colour: text('blue'),
      constructor: text('x'),
    });
    expect({ ...errors }).toEqual({
      constructor: { value: 'INVALID_NAME' },
      schema: { value: 'INVALID_VALUE' },
      compression: { value: 'INVALID_VALUE' },
      colour: { value: 'INVALID_NAME' },
    });
    expect((await set({ catalog: text('No Name') })).errors).toEqual({ catalog: { value: 'INVALID_VALUE' } });
  });

  test('says the project of calls that name none', async () => {
    await lake.add('there', ['SELECT 1 AS a']);
    const said = await within({ catalog: text('shop') });
    const { flight_descriptor } = await client.info(['features', 'there'], said);
    expect(flight_descriptor?.path).toEqual(['features', 'there']);
    const named = { metadata: { ...said.metadata, 'eider-project': 'no project' } };
    expect(await refusal(client.info(['features', 'there'], named))).toMatchObject({ code: 'project_unknown' });
  });

  test('ends when it was idle for long, is its owner’s only, and there is a limit on how many are open', () => {
    let now = 0;
    const sessions = createSessions({ sessionsMax: 2, sessionsOfOneMax: 2, idleMs: 1000 }, () => now);
    const [a, b] = [sessions.open('ann'), sessions.open('bob')];
    expect(() => sessions.open('eve')).toThrow(expect.objectContaining({ code: 'sessions_exhausted' }));
    expect([sessions.find(a.id, 'bob'), sessions.find(b.id, 'bob')]).toEqual([null, b]);
    now = 999;
    expect(sessions.find(a.id, 'ann')).toBe(a);
    now = 1000;
    expect([sessions.find(a.id, 'ann'), sessions.find(b.id, 'bob')]).toEqual([a, null]);
    sessions.open('eve');
    expect(sessions.count()).toBe(2);
  });

  test('of one caller are fewer than all', () => {
    const sessions = createSessions({ sessionsMax: 3, sessionsOfOneMax: 2, idleMs: 1000 }, () => 0);
    sessions.open('ann');
    sessions.open('ann');
    expect(() => sessions.open('ann')).toThrow('2 sessions of yours are open');
    expect(sessions.open('bob').principal).toBe('bob');
  });
});

test('a compression that there is not is refused, by metadata as by session', async () => {
  const said = { metadata: { 'eider-compression': 'gzip' } };
  expect(await refusal(client.info(['eider', 'features', 'small'], said))).toMatchObject({ code: 'compression_unknown', status: status.INVALID_ARGUMENT }); // prettier-ignore
});

test('a large table is several endpoints of one schema, each of which is read again with the same result', async () => {
  const queries = [0, 1, 2].map((n) => `SELECT i + ${n * 500_000} AS i, 'text ' || i AS t FROM range(500000) t(i)`);
  const table = await lake.add('ranges', queries);
  const own = await startFlight({ ...settings, endpointBytes: Math.floor(table.bytes / 5) });
  const split = grpcClient(own.port);
  const parts = await split.info(['eider', 'features', 'ranges']);
  expect([parts.endpoint.length, parts.ordered, parts.total_records]).toEqual([5, true, 1_500_000]);
  const readers = parts.endpoint.map(({ ticket: { ticket } }) => split.seen('DoGet', { ticket }));
  const seen = await Promise.all(readers);
  expect(seen.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
  // Each of them again is the same bytes, and all begin with the same schema.
  const again = await split.seen('DoGet', { ticket: parts.endpoint[2]?.ticket.ticket });
  expect(Buffer.concat(again.messages).equals(Buffer.concat(seen[2]?.messages ?? []))).toBe(true);
  const schemas = new Set(seen.map(({ messages: [schema] }) => schema?.toString('hex')));
  expect([...schemas]).toEqual([(await read(await info('ranges'))).messages[0]?.toString('hex')]);
  split.close();
  await own.stop(0);
});
