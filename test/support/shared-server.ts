import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guardFile } from '../../programs/files.js';
import { identify, type ProcessIdentity } from '../../programs/processes.js';
import type { Program } from '../../programs/program.js';
import { until } from '../../programs/waiting.js';

const prefix = 'eider-tests-';
/** Files of what runs for this Jest worker; test files share nothing else, since each has its own modules and globals. */
const folder = join(tmpdir(), `${prefix}${process.pid}`);
const readyMs = 60_000;

interface Running<Address> {
  readonly identity: ProcessIdentity;
  readonly address: Address;
}

/**
 * A server that all test files of this Jest worker share: the first that needs it starts it, and its guard ends it when the
 * worker is gone, however that ended.
 */
export async function sharedServer<Address>(
  name: string,
  make: (home: string) => Promise<{ program: Program; address: () => Promise<Address> }>,
): Promise<Address> {
  const note = join(folder, `${name}.json`);
  const running = await readFile(note, 'utf8').then(
    (text) => JSON.parse(text) as Running<Address>,
    () => null,
  );
  if (running && (await identify(running.identity.pid))?.started === running.identity.started) return running.address;
  await removeLeftovers();
  const home = join(folder, name);
  await rm(home, { recursive: true, force: true });
  await mkdir(home, { recursive: true });
  const { program, address } = await make(home);
  const log = join(folder, `${name}.log`);
  const pid = await startGuarded(program, log);
  if (!(await until(() => program.ready(false), readyMs)))
    throw new Error(`${name} did not start: ${(await readFile(log, 'utf8')).slice(-2000)}`);
  const made: Running<Address> = { identity: (await identify(pid)) as ProcessIdentity, address: await address() };
  await writeFile(note, JSON.stringify(made));
  return made.address;
}

/** Does not keep this process from ending: then the pipe closes, and the guard ends the program. */
async function startGuarded(program: Program, log: string): Promise<number> {
  const { file, args, env, cwd } = await program.prepare();
  const { signal, graceMs } = program.stop;
  const out = openSync(log, 'a');
  const guarded = [guardFile(), '--grace-ms', String(graceMs), '--signal', signal, '--', file, ...args];
  const child = spawn(process.execPath, guarded, { env, cwd, stdio: ['pipe', out, out], detached: true });
  child.unref();
  (child.stdin as unknown as Socket).unref();
  return child.pid as number;
}

/** What workers of earlier runs left; their servers are gone. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : NaN;
    if (Number.isInteger(pid) && (await identify(pid)) === null)
      await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}
