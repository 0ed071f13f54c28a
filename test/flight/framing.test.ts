import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { status } from '@grpc/grpc-js';
import { errorTable } from '../../domain/errors.js';
import { until } from '../../programs/waiting.js';
import { startProxy } from '../support/proxy.js';
import { startBothWays, token, type BothWays, type Script } from './both-ways.js';
import { grpcClient, seenOf, type GrpcClient, type Said, type Seen } from './client.js';

/** DoGet's frames pass grpc-js by; to a client nothing may differ from a stream that grpc-js sends. */

let both: BothWays;
let raw: GrpcClient;
let plain: GrpcClient;
beforeAll(async () => {
  both = await startBothWays();
  [raw, plain] = [grpcClient(both.raw), grpcClient(both.plain)];
});
afterAll(async () => {
  raw.close();
  plain.close();
  await both.stop();
});
afterEach(async () => {
  expect(await until(() => both.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
});

const rows = (count: number, more = '') => `SELECT i, hash(i) AS h${more} FROM range(${count}) t(i)`;
const endless = rows(1e12);
const failing = rows(600_000, ", CASE WHEN i = 400000 THEN error('row 400,000') ELSE i END AS e");

/** With a digest for the messages, which are long. */
const brief = ({ messages, ...rest }: Seen) => ({
  ...rest,
  messages: messages.map(({ length }) => length),
  digest: createHash('sha256').update(Buffer.concat(messages)).digest('hex'),
});
async function seenBoth(script: Script, said?: Said): Promise<Seen> {
  const ticket = both.ticketOf(script);
  const [ours, theirs] = await Promise.all([raw, plain].map((client) => client.seen('DoGet', { ticket }, said)));
  expect(brief(ours as Seen)).toEqual(brief(theirs as Seen));
  return ours as Seen;
}

test.each([
  ['many messages', rows(500_000), 5],
  ['no row', `${rows(10)} WHERE false`, 1],
  ['a message of 20 MB', "SELECT repeat('x', 20000000) AS t", 2],
])('a stream of %s ends with OK', async (_, sql, messagesMin) => {
  const { code, messages, headers } = await seenBoth({ sql });
  expect([code, headers['authorization']]).toEqual([status.OK, `Bearer ${token}`]);
  expect(messages.length).toBeGreaterThanOrEqual(messagesMin);
});

test('an error of the query before its first row, and one at row 400,000, come after what was sent', async () => {
  expect(await seenBoth({ sql: 'SELECT no_such_column' })).toMatchObject({ messages: [] });
  const late = await seenBoth({ sql: failing });
  expect(late.messages.length).toBeGreaterThan(3);
  expect([late.code, late.trailers['eider-code']]).toEqual([status.INTERNAL, 'query_failed']);
});

// One error for each status that there is.
const codes = new Map(Object.entries(errorTable).map(([code, { grpc }]) => [grpc, code]));
test.each([...codes])('%s before the first frame is a status alone, with its trailers', async (grpc, fails) => {
  const { code, trailers, headers, messages } = await seenBoth({ fails });
  expect([code, trailers['eider-code'], headers, messages]).toEqual([status[grpc], fails, {}, []]);
});

test.each([
  ['while rows are sent', endless],
  ['while DuckDB works and nothing is sent', 'SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) = 1'],
])('a deadline that only the server knows ends the stream %s', async (_, sql) => {
  const said = { metadata: { 'grpc-timeout': '300m' } };
  const ticket = both.ticketOf({ sql });
  for (const client of [raw, plain]) {
    const { code, details } = await client.seen('DoGet', { ticket }, said);
    expect([code, details]).toEqual([status.DEADLINE_EXCEEDED, 'Deadline exceeded']);
  }
});

test('a deadline frees the query of a client that takes nothing', async () => {
  for (const client of [raw, plain]) {
    const call = client.open('DoGet', { ticket: both.ticketOf({ sql: endless }) }, { metadata: { 'grpc-timeout': '300m' } }); // prettier-ignore
    call.on('error', () => undefined);
    await once(call, 'readable');
    expect(both.activeStreams()).toBe(1);
    expect(await until(() => both.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
    call.cancel();
  }
});

test('a client that cancels sees that, and its query is freed', async () => {
  for (const client of [raw, plain]) {
    const call = client.open('DoGet', { ticket: both.ticketOf({ sql: endless }) });
    await once(call, 'readable');
    const seen = seenOf(call);
    call.cancel();
    expect(await seen).toMatchObject({ code: status.CANCELLED });
    expect(await until(() => both.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
  }
});

test('a connection that drops ends its streams on both sides', async () => {
  for (const port of [both.raw, both.plain]) {
    const proxy = await startProxy(port);
    const client = grpcClient(proxy.port);
    const calls = [1, 2, 3].map(() => client.open('DoGet', { ticket: both.ticketOf({ sql: endless }) }));
    await Promise.all(calls.map((call) => once(call, 'readable')));
    expect(both.activeStreams()).toBe(3);
    proxy.drop();
    const seen = await Promise.all(calls.map(seenOf));
    expect(seen.map(({ code }) => code)).toEqual(Array(3).fill(status.UNAVAILABLE));
    expect(await until(() => both.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
    client.close();
    proxy.close();
  }
});

test('a client that stops to read stops DuckDB, a few batches ahead, and gets the rest when it goes on', async () => {
  const ticket = both.ticketOf({ sql: rows(6_000_000) });
  const read = async (port: number, client: GrpcClient) => {
    const before = both.framesMade(port);
    const call = client.open('DoGet', { ticket });
    await once(call, 'readable');
    let last = -1;
    const settled = await until(() => last === (last = both.framesMade(port)), 10_000, { everyMs: 300 });
    expect(settled).toBe(true);
    const ahead = last - before;
    const { code, messages } = await seenOf(call);
    return { ahead, code, bytes: Buffer.concat(messages).length };
  };
  const [ours, theirs] = [await read(both.raw, raw), await read(both.plain, plain)];
  expect(ours.ahead).toBeLessThanOrEqual(theirs.ahead + 2);
  // The client keeps 16 itself, of 92.
  expect(ours.ahead).toBeLessThan(24);
  expect([ours.code, ours.bytes]).toEqual([theirs.code, theirs.bytes]);
});

test('a hundred streams at once each get their own rows', async () => {
  const counts = Array.from({ length: 100 }, (_, at) => 1_000 + at);
  const read = (client: GrpcClient) =>
    Promise.all(counts.map((count) => client.seen('DoGet', { ticket: both.ticketOf({ sql: rows(count) }) })));
  const [ours, theirs] = [await read(raw), await read(plain)];
  expect(ours.map(brief)).toEqual(theirs.map(brief));
  expect(new Set(ours.map((seen) => brief(seen).digest)).size).toBe(100);
});

test('a client that takes only small messages refuses ours as it refuses those of grpc-js', async () => {
  const ticket = both.ticketOf({ sql: rows(500_000) });
  const seen = [both.raw, both.plain].map(async (port) => {
    const client = grpcClient(port, { 'grpc.max_receive_message_length': 10_000 });
    const { code, details, messages } = await client.seen('DoGet', { ticket });
    client.close();
    return { code, details, messages: messages.length };
  });
  const [ours, theirs] = await Promise.all(seen);
  expect(ours).toMatchObject({ code: status.RESOURCE_EXHAUSTED, messages: 1 });
  expect(ours).toEqual(theirs);
});
