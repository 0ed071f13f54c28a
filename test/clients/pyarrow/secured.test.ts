import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { credentials } from '@grpc/grpc-js';
import { startFlight, type FlightServer } from '../../../apps/flight/server.js';
import { fileCredentials } from '../../../apps/flight/tls.js';
import { createTransport, listen } from '../../../apps/flight/transport.js';
import { loadConfig, projectRoot } from '../../../apps/config.js';
import { createLogger } from '../../../apps/log.js';
import { keyLine, newKey } from '../../../domain/keys.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { until } from '../../../programs/waiting.js';
import { grpcClient, protoFolder } from '../../flight/client.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';
import { createAuthority, type Authority, type Certificate } from '../../support/certificates.js';
import { startPyarrow, type Pyarrow } from './pyarrow.js';

/** Keys and TLS, by clients that we did not write. */

const logged: string[] = [];
const log = createLogger('flight', 'debug', (line) => logged.push(line));
const ann = newKey({ name: 'ann', projects: 'eider', expiresAt: null }, Buffer.alloc(32, 1));
const path = ['eider', 'features', 'small'];
let folder: string;
let lake: TestLake;
let authority: Authority;
let files: Certificate;
let flight: FlightServer;
let pyarrow: Pyarrow;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eider-tls-'));
  authority = createAuthority(folder);
  files = authority.sign('flight');
  writeFileSync(join(folder, 'keys'), keyLine(ann.key));
  lake = await createTestLake();
  await lake.add('small', ['SELECT 1 AS a']);
  flight = await startFlight({
    ...{ host: '127.0.0.1', port: 0, lakeRoot: lake.root, protoFolder, tables: lake.reader, log, tls: files },
    keys: join(folder, 'keys'),
  });
  pyarrow = await startPyarrow(flight.url, authority.certificate);
}, 300_000);
afterAll(async () => {
  await pyarrow?.stop();
  await flight?.stop(0);
  lake?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const bearer = (secret: string) => ({ headers: { authorization: `Bearer ${secret}` } });

test('pyarrow over TLS reads with a key, and with the token that authenticate_basic_token answers', async () => {
  expect(flight.url).toMatch(/^grpc\+tls:\/\/127\.0\.0\.1:\d+$/);
  expect(await pyarrow.ask('read', { path, ...bearer(ann.secret) })).toMatchObject({ rows: 1 });
  const [header, value] = await pyarrow.ask<[string, string]>('token', { name: 'ann', key: ann.secret });
  expect(header).toBe('authorization');
  expect(await pyarrow.ask('read', { path, headers: { [header]: value } })).toMatchObject({ rows: 1 });
});

test('pyarrow without a key, or with a wrong one, is unauthenticated', async () => {
  expect((await pyarrow.refusal('read', { path })).type).toBe('FlightUnauthenticatedError');
  expect((await pyarrow.refusal('token', { name: 'ann', key: 'wrong' })).type).toBe('FlightUnauthenticatedError');
  const forbidden = await pyarrow.refusal('read', { path: ['other', 'features', 'small'], ...bearer(ann.secret) });
  expect([forbidden.type, forbidden.message]).toEqual(['FlightUnauthorizedError', expect.stringContaining('not good for project "other"')]); // prettier-ignore
});

test('the trainer’s reader of training sets reads over TLS with a key, from every endpoint', async () => {
  const trainer = join(projectRoot, 'trainers/lightgbm');
  const { cache: cacheDir, python } = loadConfig();
  const lockFile = join(trainer, 'requirements.lock');
  const command = await pythonEnvironment({ cacheDir, lockFile, name: 'lightgbm', python });
  const program = [
    ...['import sys', 'sys.path.insert(0, sys.argv[1])', 'import dataset'],
    'print(dataset.read(sys.argv[2], sys.argv[3].split("/"), sys.argv[4], open(sys.argv[5], "rb").read()).num_rows)',
  ].join('\n');
  const args = ['-c', program, trainer, flight.url, path.join('/'), ann.secret, authority.certificate];
  const { stdout } = await promisify(execFile)(command, args);
  expect(stdout.trim()).toBe('1');
}, 300_000);

test('a client that does not know the authority, or does not encrypt, gets no answer', async () => {
  const stranger = await startPyarrow(flight.url, createAuthority(folder, 'stranger').certificate);
  expect((await stranger.refusal('read', { path, ...bearer(ann.secret) })).type).toBe('FlightUnavailableError');
  await stranger.stop();
  const plain = grpcClient(flight.port);
  await expect(plain.info(path)).rejects.toMatchObject({ code: 14 });
  plain.close();
});

test('a renewed certificate serves new connections, and one that does not fit its key is not taken', async () => {
  const at = { certificate: join(folder, 'at.pem'), key: join(folder, 'at.key') };
  const write = (from: Certificate) => {
    copyFileSync(from.certificate, at.certificate);
    copyFileSync(from.key, at.key);
  };
  write(files);
  const tls = await fileCredentials(at, log, 20);
  const server = createTransport();
  const port = await listen(server, '127.0.0.1', 0, tls.credentials);
  const trusts = async ({ certificate }: Authority) => {
    const client = grpcClient(port, {}, credentials.createSsl(readFileSync(certificate)));
    const code = await client.info(path).then(() => 0, (error: { code: number }) => error.code); // prettier-ignore
    client.close();
    return code === 12; // It answers, if only that it has no such method.
  };
  const renewed = createAuthority(folder, 'renewed');
  expect([await trusts(authority), await trusts(renewed)]).toEqual([true, false]);
  copyFileSync(renewed.sign('next').certificate, at.certificate);
  expect(await until(() => logged.some((line) => line.includes('was not read again')), 5_000, { everyMs: 10 })).toBe(
    true,
  );
  expect(await trusts(authority)).toBe(true);
  write(renewed.sign('next'));
  expect(await until(() => trusts(renewed), 5_000, { everyMs: 20 })).toBe(true);
  expect(await trusts(authority)).toBe(false);
  tls.stop();
  server.forceShutdown();
});

test.each([
  ['a certificate that is not there', () => ({ ...files, certificate: join(folder, 'none.pem') })],
  ['a key of another certificate', () => ({ ...files, key: authority.sign('another').key })],
])('it does not start with %s', async (_, wrong) => {
  await expect(fileCredentials(wrong(), log)).rejects.toMatchObject({ code: 'config_invalid' });
});
