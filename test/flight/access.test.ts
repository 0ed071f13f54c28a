import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, status, type MethodDefinition } from '@grpc/grpc-js';
import { keyedAccess, type Access } from '../../apps/flight/access.js';
import { keyFile } from '../../apps/flight/key-file.js';
import { startFlight, type FlightServer, type FlightSettings } from '../../apps/flight/server.js';
import { createLogger } from '../../apps/log.js';
import { keyLine, newKey } from '../../domain/keys.js';
import { createTestLake, type TestLake } from './lake.js';
import { grpcClient, messages, protoFolder, refusal, service, type GrpcClient } from './client.js';

const made = (name: string, projects: string, expiresAt: string | null = null) =>
  newKey({ name, projects, expiresAt }, Buffer.alloc(32, name));
const [ann, bob, late] = [made('ann', 'eider'), made('bob', 'other,eider'), made('late', '*', '2020-01-01')];
const lines = [ann, bob, late].map(({ key }) => keyLine(key)).join('\n');

const logged: string[] = [];
const log = createLogger('flight', 'debug', (line) => logged.push(line));
let folder: string;
let lake: TestLake;
let settings: FlightSettings;
let flight: FlightServer;
let client: GrpcClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eider-keys-'));
  writeFileSync(join(folder, 'keys'), lines);
  lake = await createTestLake();
  await lake.add('small', ['SELECT 1 AS a']);
  settings = { host: '127.0.0.1', port: 0, lakeRoot: lake.root, protoFolder, tables: lake.reader, log };
  flight = await startFlight({ ...settings, keys: join(folder, 'keys') });
  client = grpcClient(flight.port);
});
afterAll(async () => {
  client.close();
  await flight.stop(0);
  lake.remove();
  rmSync(folder, { recursive: true });
});

const path = ['eider', 'features', 'small'];
const bearer = (secret: string) => ({ metadata: { authorization: `Bearer ${secret}` } });
const basic = (name: string, key: string, encoding: 'padded' | 'plain' = 'padded') => {
  const text = Buffer.from(`${name}:${key}`).toString('base64');
  return { metadata: { authorization: `Basic ${encoding === 'padded' ? text : text.replace(/=+$/, '')}` } };
};
const ticketOf = async (secret: string) =>
  (await client.info(path, bearer(secret))).endpoint[0]?.ticket.ticket as Buffer;

test.each(Object.keys(service))('%s without a key is refused as unauthenticated', async (name) => {
  const seen = await client.seen(name, { path, type: name === 'DoAction' ? 'GetSessionOptions' : 'PATH' });
  expect([seen.code, seen.trailers['eider-code']]).toEqual([status.UNAUTHENTICATED, 'unauthenticated']);
  expect(seen.messages).toEqual([]);
});

test.each([
  ['a key', bearer(ann.secret)],
  ['name and key', basic('ann', ann.secret)],
  ['name and key without padding, as Go sends them', basic('ann', ann.secret, 'plain')],
])('%s lets a call in', async (_, said) => {
  expect((await client.info(path, said)).total_records).toBe(1);
});

test.each([
  ['a key that nobody has', bearer('eider_nobody')],
  ['a key that has expired', bearer(late.secret)],
  ['the key of somebody else', basic('bob', ann.secret)],
  ['a name that nobody has', basic('eve', ann.secret)],
  ['base64 of no name', { metadata: { authorization: 'Basic Og==' } }],
  ['no base64', { metadata: { authorization: 'Basic %%%' } }],
  ['another scheme', { metadata: { authorization: `Digest ${ann.secret}` } }],
  ['a token that we did not sign', bearer('eider-token.e30.AAAA')],
  ['a token without anything', bearer('eider-token.')],
  ['credentials of 5,000 characters', bearer('x'.repeat(5000))],
  ['an empty token of the first way', { metadata: { 'auth-token-bin': Buffer.alloc(0) } }],
])('%s does not', async (_, said) => {
  expect(await refusal(client.info(path, said))).toMatchObject({ code: 'unauthenticated', status: status.UNAUTHENTICATED }); // prettier-ignore
});

test('Basic is answered with a token in the headers, which then is as good as the key', async () => {
  const call = client.open('DoAction', { type: 'GetSessionOptions' }, basic('ann', ann.secret));
  const headers = await new Promise<Metadata>((resolve) => call.on('metadata', resolve).resume());
  const [authorization] = headers.get('authorization') as [string];
  expect(authorization).toMatch(/^Bearer eider-token\./);
  expect((await client.info(path, { metadata: { authorization } })).total_records).toBe(1);
  const changed = authorization.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
  const half = authorization.slice(0, -20);
  for (const other of [changed.slice(0, -3) + 'AAA', half])
    expect(await refusal(client.info(path, { metadata: { authorization: other } }))).toMatchObject({ code: 'unauthenticated' }); // prettier-ignore
});

function greet(said: Record<string, string>, payload?: Buffer) {
  const {
    path: method,
    requestSerialize,
    responseDeserialize,
  } = service['Handshake'] as MethodDefinition<object, { payload: Buffer }>;
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(said)) metadata.set(key, value);
  const call = client.client.makeBidiStreamRequest(method, requestSerialize, responseDeserialize, metadata); // prettier-ignore
  const heard: { headers?: Metadata; payloads: Buffer[] } = { payloads: [] };
  call.on('metadata', (headers: Metadata) => (heard.headers = headers));
  call.on('data', (message: { payload: Buffer }) => heard.payloads.push(message.payload));
  if (payload) call.write({ payload });
  else call.end();
  return new Promise<typeof heard & { trailers: Metadata }>((resolve, reject) =>
    call.on('error', reject).on('status', ({ code, metadata: trailers }) => code === status.OK && resolve({ ...heard, trailers })),
  ); // prettier-ignore
}

test('Handshake answers the token in headers and in trailers, for clients that look in either', async () => {
  const { headers, trailers } = await greet(basic('bob', bob.secret, 'plain').metadata);
  expect(headers?.get('authorization')).toEqual(trailers.get('authorization'));
  expect(headers?.get('authorization')[0]).toMatch(/^Bearer eider-token\./);
});

test('Handshake by a BasicAuth message answers the token in a message, before the client ends, for the metadata auth-token-bin', async () => {
  const payload = messages.BasicAuth.serialize({ username: 'bob', password: bob.secret });
  const { payloads } = await greet({}, payload);
  expect(payloads).toHaveLength(1);
  const said = { metadata: { 'auth-token-bin': payloads[0] as Buffer } };
  expect((await client.info(path, said)).total_records).toBe(1);
});

test.each([
  ['a wrong key', messages.BasicAuth.serialize({ username: 'bob', password: 'x' })],
  ['bytes that are no message', Buffer.from([255, 255, 255])],
  ['nothing', undefined],
])('Handshake with %s is refused', async (_, payload) => {
  expect(await refusal(greet({}, payload))).toMatchObject({ code: 'unauthenticated' });
});

test('a key is good for its projects only, whether the project is in path, metadata or ticket', async () => {
  const forbidden = { code: 'project_forbidden', status: status.PERMISSION_DENIED };
  expect(await refusal(client.info(['other', 'features', 'small'], bearer(ann.secret)))).toMatchObject(forbidden);
  const other = { metadata: { ...bearer(ann.secret).metadata, 'eider-project': 'other' } };
  for (const method of ['ListFlights', 'ListActions'])
    expect((await client.seen(method, {}, other)).trailers['eider-code']).toBe('project_forbidden');
  // The same for one that nobody has: it does not tell which projects there are.
  expect(await refusal(client.info(['none', 'features', 'small'], bearer(ann.secret)))).toMatchObject(forbidden);
  expect((await client.info(['features', 'small'], bearer(bob.secret))).total_records).toBe(1);
});

test('a ticket is good for its owner only', async () => {
  const ticket = await ticketOf(ann.secret);
  expect((await client.seen('DoGet', { ticket }, bearer(ann.secret))).code).toBe(status.OK);
  expect((await client.seen('DoGet', { ticket }, bearer(bob.secret))).trailers['eider-code']).toBe('ticket_invalid');
  expect((await client.seen('DoGet', { ticket })).trailers['eider-code']).toBe('unauthenticated');
});

test('no key and no token is in a log', () => {
  const text = logged.join('');
  for (const { secret } of [ann, bob, late]) expect(text).not.toContain(secret.slice('eider_'.length));
  expect(text).not.toContain('eider-token.');
});

describe('a file of keys', () => {
  const file = () => join(folder, 'changing');
  let access: Access;
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${ann.secret}`);
  beforeEach(async () => {
    writeFileSync(file(), lines);
    const keys = await keyFile(file(), log, 0);
    access = keyedAccess({ keys, secret: Buffer.alloc(32, 1), basicAuth: messages.BasicAuth });
  });
  const calls = () => access.callerOf(metadata).then(({ principal }) => principal, (error: { code: string }) => error.code); // prettier-ignore

  test('is read again when it changes: a key that is taken out is refused, also by the token that it was given for', async () => {
    const login = new Metadata();
    login.set('authorization', basic('ann', ann.secret).metadata.authorization);
    const token = new Metadata();
    token.set('authorization', `Bearer ${(await access.callerOf(login)).token}`);
    expect((await access.callerOf(token)).principal).toBe('ann');
    writeFileSync(file(), keyLine(bob.key));
    expect(await calls()).toBe('unauthenticated');
    await expect(access.callerOf(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    writeFileSync(file(), lines);
    expect(await calls()).toBe('ann');
  });

  test('loses no key by a mistake in another line, and lets nobody in when it is gone', async () => {
    writeFileSync(file(), `${keyLine(ann.key)}\nnonsense`);
    expect(await calls()).toBe('ann');
    rmSync(file());
    expect(await calls()).toBe('unauthenticated');
    writeFileSync(file(), lines);
    expect(await calls()).toBe('ann');
  });

  test('a token expires', async () => {
    let now = new Date('2026-11-23T10:00:00Z');
    const keys = await keyFile(file(), log, 0);
    const timed = keyedAccess({ keys, secret: Buffer.alloc(32, 1), basicAuth: messages.BasicAuth, now: () => now });
    const login = new Metadata();
    login.set('authorization', basic('ann', ann.secret).metadata.authorization);
    const token = new Metadata();
    token.set('authorization', `Bearer ${(await timed.callerOf(login)).token}`);
    now = new Date('2026-11-23T21:59:59Z');
    expect((await timed.callerOf(token)).principal).toBe('ann');
    now = new Date('2026-11-23T22:00:00Z');
    await expect(timed.callerOf(token)).rejects.toThrow('The token has expired');
  });
});

test.each([
  ['a file with a mistake', { keys: 'mistaken' }, 'line 1: it has 1 words'],
  ['a file that is not there', { keys: 'missing' }, 'cannot be read'],
  ['no keys on another address than loopback', { host: '0.0.0.0' }, 'without keys. Set EIDER_FLIGHT_KEYS'],
])('the service does not start with %s', async (_, wrong, sentence) => {
  writeFileSync(join(folder, 'mistaken'), 'nonsense');
  const keys = 'keys' in wrong ? join(folder, wrong.keys as string) : null;
  await expect(startFlight({ ...settings, ...wrong, keys })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(sentence) as string,
  });
});

test('without keys it listens where others reach it only when told so', async () => {
  const open = await startFlight({ ...settings, host: '0.0.0.0', open: true });
  const anybody = grpcClient(open.port);
  expect((await anybody.info(path)).total_records).toBe(1);
  anybody.close();
  await open.stop(0);
});
