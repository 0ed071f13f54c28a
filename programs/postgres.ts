import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { access, chown, mkdir, open, readFile, readdir, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { DomainError } from '../domain/errors.js';
import { findPostgres } from './postgres-binaries.js';
import { ownFolder, postgresOwner } from './postgres-owner.js';
import type { Owner } from './postgres-owner.js';
import { commandOf, endProcess, identify, signal } from './processes.js';
import type { Command, Program } from './program.js';
import { until } from './waiting.js';

const run = promisify(execFile);

export interface PostgresOptions {
  /** The data lives in `<home>/pg`. */
  readonly home: string;
  readonly port: number;
  readonly cacheDir: string;
}

const user = 'eider';
const database = 'eider';
const stopMs = 30_000;
/** The longest path of a Unix socket, in bytes. */
const socketPathMax = 107;

const dataFolder = (home: string) => join(home, 'pg');
const passwordFile = (folder: string) => join(folder, 'eider.password');

/** PostgreSQL on 127.0.0.1 with the database `eider`; made on its first start, recovered after any other end. */
export function postgresProgram(options: PostgresOptions): Program {
  const folder = dataFolder(options.home);
  return {
    name: 'postgres',
    guarded: true,
    stop: { signal: 'SIGINT', graceMs: stopMs }, // SIGINT: fast shutdown, open sessions are ended.
    async prepare() {
      const binaries = await findPostgres(options.cacheDir);
      const owner = await postgresOwner(binaries.postgres);
      await endOrphans(folder);
      if (!(await exists(join(folder, 'PG_VERSION')))) await initialise(binaries.initdb, folder, owner);
      await ownFolder(folder, owner);
      return serverCommand(binaries.postgres, folder, owner, options);
    },
    ready: () => databaseReady(options),
  };
}

/** The URL of the database, with the password that was made with the data. Null before the first start. */
export async function postgresUrl({ home, port }: Pick<PostgresOptions, 'home' | 'port'>): Promise<string | null> {
  const password = await readFile(passwordFile(dataFolder(home)), 'utf8').catch(() => null);
  return password === null ? null : urlOf(port, password, database);
}

const urlOf = (port: number, password: string, name: string) =>
  `postgresql://${user}:${password}@127.0.0.1:${port}/${name}`;

/** Throws `database_unreachable` when the database of a URL does not answer. */
export async function checkDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {}); // Also rejects what is under way.
  try {
    await client.connect();
    await client.query('SELECT 1');
  } catch (error) {
    const { host, port, database: name } = client;
    const detail = `The database ${name} at ${host}:${port} does not answer: ${(error as Error).message || 'no reason given'}.`;
    throw new DomainError('database_unreachable', detail, { host, port }, { cause: error });
  } finally {
    await client.end().catch(() => {});
  }
}

/** Made beside its place and renamed into it, so that a data folder is whole or absent. Data pages carry checksums. */
async function initialise(initdb: string, folder: string, owner: Owner): Promise<void> {
  const home = dirname(folder);
  await mkdir(home, { recursive: true });
  for (const name of await readdir(home)) {
    if (name.startsWith('pg.part-')) await rm(join(home, name), { recursive: true, force: true });
  }
  const part = join(home, `pg.part-${process.pid}`);
  const secret = join(home, `pg.part-password-${process.pid}`);
  const password = randomBytes(24).toString('hex');
  try {
    await ownFolder(part, owner);
    await writeFile(secret, password, { mode: 0o600 });
    if (process.getuid?.() === 0) await chown(secret, owner.uid, owner.gid);
    const locale = ['--encoding=UTF8', '--locale=C', '--data-checksums'];
    const access = [`--username=${user}`, '--auth=scram-sha-256', `--pwfile=${secret}`];
    const [file = '', ...args] = [...owner.prefix, initdb, `--pgdata=${part}`, ...locale, ...access];
    await run(file, args, { timeout: 120_000, cwd: home }).catch((error: Error & { stderr?: string }) => {
      const said = (error.stderr ?? error.message).trim().split('\n').slice(-3).join(' ');
      throw new DomainError(
        'process_failed',
        `PostgreSQL could not make its data folder ${part}: ${said}`,
        {},
        { cause: error },
      );
    });
    await writeFile(passwordFile(part), password, { mode: 0o600 });
    await rename(part, folder);
    await syncFolder(home);
  } finally {
    await rm(secret, { force: true });
    await rm(part, { recursive: true, force: true });
  }
}

async function serverCommand(
  postgres: string,
  folder: string,
  owner: Owner,
  { home, port }: PostgresOptions,
): Promise<Command> {
  const sockets = join(resolve(home), 'run');
  const fits = Buffer.byteLength(join(sockets, `.s.PGSQL.${port}`)) <= socketPathMax;
  if (fits) await mkdir(sockets, { recursive: true });
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // A socket needs a path that fits, and a folder that the server's user may write.
    unix_socket_directories: fits && owner.uid === process.getuid?.() ? sockets : '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [file = '', ...args] = [...owner.prefix, postgres, '-D', folder, ...options];
  return { file, args };
}

/** Creates the database on the first start. */
async function databaseReady({ home, port }: PostgresOptions): Promise<boolean> {
  // Asked before, it would only write to its log that it is still starting.
  const status = (await readFile(join(dataFolder(home), 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')[7];
  if (status?.trim() !== 'ready') return false;
  const password = await readFile(passwordFile(dataFolder(home)), 'utf8');
  const client = new pg.Client({ connectionString: urlOf(port, password, 'postgres'), connectionTimeoutMillis: 2_000 });
  client.on('error', () => {}); // Also rejects what is under way.
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${database}`);
    return true;
  } catch {
    return false; // Starting or recovering: asked again until the deadline.
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * Ends a server that an earlier, killed supervisor left on this data, and waits for the sessions of one that was killed
 * itself: a new server may not share memory with them. A lock file that names somebody else's process is removed.
 */
async function endOrphans(folder: string): Promise<void> {
  const lock = join(folder, 'postmaster.pid');
  const [line = ''] = (await readFile(lock, 'utf8').catch(() => '')).split('\n');
  const owner = await identify(Number(line));
  if (owner !== null) {
    if (await serves(owner.pid, folder)) await endProcess(owner, 'SIGINT', stopMs);
    else await rm(lock, { force: true });
  }
  const sessions = async () => sessionsOf(await realpath(folder).catch(() => folder));
  if (await until(async () => (await sessions()).length === 0, 10_000)) return;
  for (const pid of await sessions()) signal(pid, 'SIGKILL');
  await until(async () => (await sessions()).length === 0, 5_000);
}

async function serves(pid: number, folder: string): Promise<boolean> {
  if (process.platform === 'linux') return sessionsOf(await realpath(folder)).includes(pid);
  return (await commandOf(pid)).includes(folder);
}

/** Every process of a server has its data folder as its current folder. Elsewhere than on Linux this cannot be seen. */
function sessionsOf(folder: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && currentFolder(name) === folder)
    .map(Number);
}

function currentFolder(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null; // It ended, or belongs to somebody else.
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
