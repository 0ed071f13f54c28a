/**
 * What every entry does first: npm packages installed, sources compiled. Both are done once, by one process at a time, and
 * are whole or absent. Node built-ins only: this runs before anything is installed.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withLock } from './lock.js';
import { sourcesDigest } from './sources.js';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const workFolder = join(root, '.eider-build');
const stamp = join(root, 'node_modules', '.eider-installed');
const nodeMinimum = [20, 19];

/** An expected failure: its message is all that a person is shown. */
export class EntryError extends Error {}

export const say = (message) => process.stderr.write(`eider: ${message}\n`);

/** Runs an entry: an expected failure is one sentence and exit code 1. */
export async function entry(main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${error instanceof EntryError ? `eider: ${error.message}` : error?.stack}\n`);
    process.exit(1);
  }
}

/** npm ci when node_modules is missing, half-made or of another package-lock.json; `dev` also wants what only tests need. */
export async function ensureInstalled({ dev = false } = {}) {
  checkNode();
  if (isInstalled(dev)) return;
  await withLock(
    join(workFolder, 'lock'),
    () => say('another process is installing or building; waiting'),
    async () => {
      if (!isInstalled(dev)) await install(dev);
    },
  );
}

/** Compiles when a source has changed since the last build. */
export async function ensureBuilt() {
  if (isBuilt()) return;
  await withLock(
    join(workFolder, 'lock'),
    () => say('another process is installing or building; waiting'),
    async () => {
      if (isBuilt()) return;
      const { build } = await import(pathToFileURL(join(root, 'bin', 'build.js')).href);
      await build();
    },
  );
}

/** Runs a program of this checkout in the terminal that we have; resolves with its exit code. */
export function runNode(args, { env = {}, stdio = 'inherit' } = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio, env: { ...process.env, ...env } });
    child.on('error', () => resolve(1));
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** Continues as a compiled program, in this process and with its arguments. */
export async function becomeProgram(path) {
  const file = join(root, 'dist', path);
  if (!existsSync(file)) throw new EntryError(`${path} is not part of this version.`);
  process.setSourceMapsEnabled(true);
  await import(pathToFileURL(file).href);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > nodeMinimum[0] || (major === nodeMinimum[0] && minor >= nodeMinimum[1])) return;
  throw new EntryError(
    `Node ${nodeMinimum.join('.')} or later is needed, this is ${process.versions.node}: see https://nodejs.org.`,
  );
}

const lockDigest = () =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');

function isInstalled(dev) {
  try {
    const [digest, extent] = readFileSync(stamp, 'utf8').trim().split(' ');
    if (digest === lockDigest() && (extent === 'all' || !dev)) return true;
  } catch {
    // Not installed by us; somebody may have run npm.
  }
  return npmInstalled(dev);
}

/** npm writes this list when it is done; a package of other platforms may be absent from it. */
function npmInstalled(dev) {
  try {
    const read = (file) => JSON.parse(readFileSync(join(root, file), 'utf8')).packages;
    const wanted = read('package-lock.json');
    const present = read('node_modules/.package-lock.json');
    return Object.entries(wanted).every(([path, { version, optional, dev: onlyDev }]) => {
      if (path === '' || optional || (onlyDev && !dev)) return true;
      return present[path]?.version === version && existsSync(join(root, path));
    });
  } catch {
    return false;
  }
}

async function install(dev) {
  say('installing npm packages (once)');
  const packages = Object.values(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages);
  rmSync(stamp, { force: true });
  rmSync(join(root, 'node_modules', '.package-lock.json'), { force: true });
  const started = Date.now();
  const progress = setInterval(() => {
    say(
      `installing npm packages: ${Math.round((Date.now() - started) / 1000)} s, ${countPackages()} of about ${packages.length}`,
    );
  }, 10_000);
  const { code, lines } = await npmCi(dev).finally(() => clearInterval(progress));
  if (code !== 0) throw new EntryError(failureOf(code, lines));
  writeFileSync(
    stamp,
    `${lockDigest()} ${dev ? 'all' : process.env.NODE_ENV === 'production' ? 'production' : 'all'}\n`,
  );
  say(`installed npm packages in ${Math.round((Date.now() - started) / 1000)} s`);
}

function npmCi(dev) {
  // Said here, because `npm --silent run …` hands its silence down, and then nobody learns what failed.
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...(dev ? ['--include=dev'] : [])];
  const npm = process.env.npm_execpath?.endsWith('npm-cli.js')
    ? [process.execPath, process.env.npm_execpath]
    : [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
  const child = spawn(npm[0], [...npm.slice(1), ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => lines.push(line));
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: error.code, lines }));
    child.on('close', (code) => resolve({ code, lines }));
  });
}

function failureOf(code, lines) {
  if (code === 'ENOENT') return 'npm was not found on PATH; it comes with Node: see https://nodejs.org.';
  const errors = lines
    .filter((line) => /^npm (error|ERR!)/.test(line))
    .map((line) => line.replace(/^npm (error|ERR!) ?/, ''));
  const words = errors.filter((line) => line !== '' && !/complete log|^code |^errno /.test(line));
  const reason = (words[0] ?? lines.at(-1) ?? `exit code ${code}`).trim().replace(/[.:]$/, '');
  const kind = errors.find((line) => line.startsWith('code '))?.slice(5);
  const network = ['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'ENETUNREACH'].includes(kind);
  return network
    ? `npm ci cannot reach the registry (${reason}); check the network and npm config get registry, then run this again.`
    : `npm ci failed (${reason}); mend that, then run this again.`;
}

/** Roughly how far npm has come, for people who wait. */
function countPackages() {
  try {
    const names = readdirSync(join(root, 'node_modules')).filter((name) => !name.startsWith('.'));
    return names.flatMap((name) => (name.startsWith('@') ? readdirSync(join(root, 'node_modules', name)) : [name]))
      .length;
  } catch {
    return 0;
  }
}

function isBuilt() {
  try {
    const { sources } = JSON.parse(readFileSync(join(root, 'dist', 'build.json'), 'utf8'));
    return sources === sourcesDigest(root);
  } catch {
    return false;
  }
}
