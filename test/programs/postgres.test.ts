import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { identify, signal } from '../../programs/processes.js';
import { postgresProgram, postgresUrl } from '../../programs/postgres.js';
import type { Launched } from '../../programs/program.js';
import { freePort, started, temporaryFolder } from './started.js';

let home: string, remove: () => Promise<void>, port: number;
const running: Launched[] = [];

beforeEach(async () => {
  ({ path: home, remove } = await temporaryFolder());
  port = await freePort();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((launched) => launched.end()));
  await remove();
});

const program = () => postgresProgram({ home, port, cacheDir: join(home, 'cache') });
async function start(): Promise<Launched> {
  const launched = await started(program());
  running.push(launched);
  return launched;
}

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: (await postgresUrl({ home, port })) ?? '' });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end();
  }
}

test('PostgreSQL starts in an empty home, keeps what was written, and starts again on it', async () => {
  const first = await start();
  await query('CREATE TABLE kept AS SELECT 41 AS n');
  expect(await query('SHOW fsync')).toEqual(['on']);
  await first.end();
  expect(await first.exited).toBe('exit code 0');
  await start();
  expect(await query('SELECT n + 1 FROM kept')).toEqual([42]);
});

test('PostgreSQL survives kill -9 of its postmaster with open sessions, data intact', async () => {
  const first = await start();
  await query('CREATE TABLE kept (n integer)');
  const client = new pg.Client({ connectionString: (await postgresUrl({ home, port })) ?? '' });
  client.on('error', () => {});
  await client.connect();
  await client.query('INSERT INTO kept VALUES (1)');
  await client.query('BEGIN');
  await client.query('INSERT INTO kept VALUES (2)');
  signal(first.identity.pid, 'SIGKILL');
  await first.exited;
  await start();
  expect(await query('SELECT n FROM kept')).toEqual([1]);
});

test('a server that lost its guard is ended by the next start on its data', async () => {
  const first = await start();
  await query('CREATE TABLE kept AS SELECT 1 AS n');
  const [lost] = first.processes;
  // What a killed supervisor leaves at worst: guard gone, server alive. `exited` is not awaited: nobody is there to do so.
  signal(lost?.pid ?? 0, 'SIGKILL');
  await start();
  expect(await query('SELECT n FROM kept')).toEqual([1]);
  expect(await identify(first.identity.pid)).toBeNull();
});

test('a lock file that names the process of somebody else does not stop a start', async () => {
  await (await start()).end();
  await writeFile(join(home, 'pg', 'postmaster.pid'), `${process.pid}\n${join(home, 'pg')}\n1\n${port}\n`);
  await start();
  expect(await query('SELECT 1')).toEqual([1]);
});

test('an initdb that was killed leaves nothing that the next start would trust', async () => {
  const halfMade = join(home, 'pg.part-1');
  await mkdir(halfMade);
  await writeFile(join(halfMade, 'PG_VERSION'), '18');
  await start();
  expect((await readdir(home)).sort()).toEqual(['pg', 'run']);
  expect((await readFile(join(home, 'pg', 'PG_VERSION'), 'utf8')).trim()).toBe('18');
});

test('the server accepts nobody without the password that was made with the data', async () => {
  await start();
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'eider', password: 'guess', database: 'eider' });
  await expect(client.connect()).rejects.toThrow(/password authentication failed/);
  expect(await query('SELECT 1')).toEqual([1]);
});
