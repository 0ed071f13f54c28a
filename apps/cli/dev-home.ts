import { link, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../../domain/errors.js';
import { endProcess, identify, isSame } from '../../programs/processes.js';
import type { ProcessIdentity } from '../../programs/processes.js';

const guardMs = 40_000; // Longer than the longest grace of a guarded program.
const programMs = 10_000;

export const runFolder = (home: string) => join(home, 'run');
const lockFile = (home: string) => join(runFolder(home), 'supervisor.lock');
const pidFile = (home: string, name: string) => join(runFolder(home), `${name}.pid`);

export interface HomeLock {
  release(): Promise<void>;
}

/** One supervisor a home; throws `home_in_use`. The lock of a supervisor that is gone does not count. */
export async function lockHome(home: string): Promise<HomeLock> {
  await mkdir(runFolder(home), { recursive: true });
  const file = lockFile(home);
  const own = `${file}.${process.pid}`;
  const self = await identify(process.pid);
  await writeFile(own, identityLine(self ?? { pid: process.pid, started: '' }));
  try {
    for (;;) {
      try {
        await link(own, file); // Whole or not at all, and only where nothing is.
        return { release: () => rm(file, { force: true }) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        await breakStaleLock(home, file);
      }
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** The supervisor that runs on a home now. */
export async function readLock(home: string): Promise<ProcessIdentity | null> {
  const holder = parseIdentity(await readFile(lockFile(home), 'utf8').catch(() => ''));
  return holder && (await isSame(holder)) ? holder : null;
}

async function breakStaleLock(home: string, file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return;
  const holder = parseIdentity(text);
  if (holder && (await isSame(holder))) {
    const detail = `Another Eider (process ${holder.pid}) runs on ${home}.`;
    throw new DomainError('home_in_use', detail, { home, pid: holder.pid });
  }
  const aside = `${file}.stale-${process.pid}`;
  await rename(file, aside).catch(() => {}); // Somebody else may be faster; the next try will tell.
  // Broken by somebody else first and taken since: give it back.
  if ((await readFile(aside, 'utf8').catch(() => text)) !== text) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
}

/** `<home>/run/NAME.pid`: the program's pid, then every process started for it with its start time, one a line. */
export async function writePid(
  home: string,
  name: string,
  pid: number,
  processes: readonly ProcessIdentity[],
): Promise<void> {
  const file = pidFile(home, name);
  await writeFile(`${file}.new`, [String(pid), ...processes.map(identityLine), ''].join('\n'));
  await rename(`${file}.new`, file);
}

export const removePid = (home: string, name: string) => rm(pidFile(home, name), { force: true });

/** The running process of a name, also from outside the supervisor; null when there is none. */
export async function readPid(home: string, name: string): Promise<number | null> {
  const [first = '', ...rest] = (await readFile(pidFile(home, name), 'utf8').catch(() => '')).split('\n');
  const identity = rest.map(parseIdentity).find((one) => one?.pid === Number(first));
  return identity && (await isSame(identity)) ? identity.pid : null;
}

/** Ends what a killed supervisor left; returns the names of what was still alive. Needs the lock. */
export async function endOrphans(home: string): Promise<string[]> {
  const files = (await readdir(runFolder(home))).filter((name) => name.endsWith('.pid'));
  const ended = await Promise.all(files.map((file) => endOrphan(home, file.slice(0, -'.pid'.length))));
  return ended.flat();
}

async function endOrphan(home: string, name: string): Promise<string[]> {
  const [, ...lines] = (await readFile(pidFile(home, name), 'utf8')).split('\n');
  const processes = lines.map(parseIdentity).filter((one) => one !== null);
  const alive = (await Promise.all(processes.map(isSame))).some(Boolean);
  const [outer, inner] = processes;
  // A guard ends its program by itself; a program that has lost its guard is asked directly.
  if (outer && inner) await endProcess(outer, 'SIGTERM', guardMs);
  const last = inner ?? outer;
  if (last) await endProcess(last, name === 'postgres' ? 'SIGINT' : 'SIGTERM', programMs);
  await removePid(home, name);
  return alive ? [name] : [];
}

const identityLine = ({ pid, started }: ProcessIdentity) => `${pid} ${started}`;

function parseIdentity(line: string): ProcessIdentity | null {
  const match = /^(\d+) (.+)$/.exec(line.trim());
  return match ? { pid: Number(match[1]), started: match[2] ?? '' } : null;
}

/** All state: what is deleted for a fresh start. Logs, locks and process ids are the supervisor's own. */
const stateNames = /^(pg|lake|artifacts|work|tmp|temporal\.db.*)$/;

export async function emptyHome(home: string): Promise<void> {
  const names = await readdir(home).catch(() => []);
  for (const name of names.filter((one) => stateNames.test(one)))
    await rm(join(home, name), { recursive: true, force: true });
}
