import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { loadConfig, projectRoot } from '../../apps/config.js';
import type { Config } from '../../apps/config.js';
import { startDev } from '../../apps/cli/dev.js';
import type { Dev, DevOptions } from '../../apps/cli/dev.js';
import { lockHome, readPid } from '../../apps/cli/dev-home.js';
import { createOutput } from '../../apps/cli/dev-output.js';
import type { Program } from '../../programs/program.js';
import { identify, signal } from '../../programs/processes.js';
import { until } from '../../programs/waiting.js';
import { freePorts, temporaryFolder } from '../programs/started.js';

let home: string, remove: () => Promise<void>;
const running: Dev[] = [];
const said: string[] = [];

beforeEach(async () => {
  ({ path: home, remove } = await temporaryFolder());
  said.length = 0;
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((dev) => dev.stop()));
  await remove();
});

const configOf = (folder: string): Config => ({ ...loadConfig(), home: folder });

/** A small real program in place of one of Eider's processes. */
function small(name: string, script: string, more: Partial<Program> = {}): Program {
  return {
    name,
    guarded: false,
    stop: { signal: 'SIGTERM', graceMs: 5_000 },
    ready: (saidReady) => Promise.resolve(saidReady),
    prepare: () => Promise.resolve({ file: process.execPath, args: ['-e', script] }),
    ...more,
  };
}
const waiter = `process.stdin.on('end', () => process.exit(0)).resume(); process.on('SIGTERM', () => process.exit(0));
  console.log('{"ready":true}')`;

async function start(options: Partial<DevOptions> = {}): Promise<Dev> {
  const tell = (text: string) => void said.push(text);
  const dev = await startDev({
    config: configOf(home),
    output: createOutput({ home, show: tell, tell, colour: false }),
    portBase: await freePorts(20),
    programs: () => [[small('first', waiter)], [small('second', waiter)]],
    ...options,
  });
  running.push(dev);
  return dev;
}

async function select(dev: Dev, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: dev.addresses.database });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end();
  }
}

test('dev starts PostgreSQL and Temporal, then what stands on them, restarts what is killed, and leaves nothing', async () => {
  const dev = await start();
  expect(Object.keys(dev.children()).sort()).toEqual(['first', 'postgres', 'second', 'temporal']);
  await select(dev, 'CREATE TABLE kept AS SELECT 1 AS n');
  const before = dev.children();
  for (const [name, pid] of Object.entries(before)) {
    expect(await readPid(home, name)).toBe(pid);
    signal(pid, 'SIGKILL');
  }
  const isBack = (name: string) => said.some((line) => line.includes(`${name} is back`));
  expect(await until(() => Object.keys(before).every(isBack), 30_000)).toBe(true);
  for (const [name, pid] of Object.entries(dev.children())) expect(pid).not.toBe(before[name]);
  expect(dev.restartsOf('first')).toBe(1);
  expect(await select(dev, 'SELECT n FROM kept')).toEqual([1]);

  const after = dev.children();
  await dev.stop();
  for (const pid of Object.values(after)) expect(await identify(pid)).toBeNull();
  const stops = said.filter((line) => line.includes('stopping'));
  expect(stops.map((line) => line.trim().split('stopping ')[1])).toEqual(['second', 'first', 'postgres, temporal']);
  expect(await readFile(join(home, 'logs', 'first.log'), 'utf8')).toContain('{"ready":true}');
});

test('after kill -9 of the supervisor the next start ends what was left, and has the data', async () => {
  const base = await freePorts(20);
  const killed = await devProcess(home, base);
  const { addresses, children } = killed;
  const client = new pg.Client({ connectionString: addresses.database });
  await client.connect();
  await client.query('CREATE TABLE kept AS SELECT 7 AS n');
  await client.end();
  killed.process.kill('SIGKILL');
  await once(killed.process, 'exit');

  const dev = await start({ portBase: base });
  expect(await select(dev, 'SELECT n FROM kept')).toEqual([7]);
  for (const pid of Object.values(children)) expect(await identify(pid)).toBeNull();
});

test('a guard that was killed together with its supervisor does not leave its program behind', async () => {
  const base = await freePorts(20);
  const { process: supervisor, children } = await devProcess(home, base);
  const guards = (await Promise.all(['postgres', 'temporal'].map(guardOf))).flat();
  for (const pid of [supervisor.pid ?? 0, ...guards]) signal(pid, 'SIGKILL');
  await once(supervisor, 'exit');
  await start({ portBase: base });
  for (const pid of Object.values(children)) expect(await identify(pid)).toBeNull();
  expect(said.join('')).toMatch(/ended what an earlier run had left: .*temporal/);
});

async function guardOf(name: string): Promise<number[]> {
  const [inner, ...lines] = (await readFile(join(home, 'run', `${name}.pid`), 'utf8')).trim().split('\n');
  const pids = lines.map((line) => Number(line.split(' ')[0]));
  return pids.filter((pid) => pid !== Number(inner));
}

/** `dev` in a process of its own, with two small programs. */
async function devProcess(folder: string, base: number) {
  const script = join(folder, 'dev.mjs');
  await mkdir(folder, { recursive: true });
  await writeFile(
    script,
    `import { startDev } from '${projectRoot}/dist/apps/cli/dev.js';
     import { createOutput } from '${projectRoot}/dist/apps/cli/dev-output.js';
     import { loadConfig } from '${projectRoot}/dist/apps/config.js';
     const output = createOutput({ home: '${folder}', show: null, tell: () => {}, colour: false });
     const small = (name) => ({ name, guarded: false, stop: { signal: 'SIGTERM', graceMs: 5000 }, ready: async (said) => said,
       prepare: async () => ({ file: process.execPath, args: ['-e', ${JSON.stringify(waiter)}] }) });
     const dev = await startDev({ config: { ...loadConfig(), home: '${folder}' }, output, portBase: ${base},
       programs: () => [[small('first')], [small('second')]] });
     console.log(JSON.stringify({ addresses: dev.addresses, children: dev.children() }));`,
  );
  const child: ChildProcess = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => ['{}'])])) as [string];
  const { addresses, children } = JSON.parse(line) as { addresses: Dev['addresses']; children: Record<string, number> };
  return { process: child, addresses, children };
}

test('a second dev on one home is refused with the process of the first', async () => {
  const lock = await lockHome(home);
  await expect(start()).rejects.toMatchObject({ code: 'home_in_use', data: { home, pid: process.pid } });
  await lock.release();
});

test('the lock of a process that is gone does not count', async () => {
  await mkdir(join(home, 'run'), { recursive: true });
  await writeFile(join(home, 'run', 'supervisor.lock'), '999999 long-ago');
  const locks = await Promise.allSettled([lockHome(home)]);
  expect(locks.map(({ status }) => status)).toEqual(['fulfilled']);
});

test('a busy port is named with its process', async () => {
  const portBase = await freePorts(20);
  const server = createServer().listen(portBase + 4, '127.0.0.1');
  await once(server, 'listening');
  const starting = start({ portBase });
  await expect(starting).rejects.toMatchObject({ code: 'port_busy', data: { ports: [portBase + 4] } });
  await expect(starting).rejects.toThrow(`Port ${portBase + 4} (Temporal) is already in use by process ${process.pid}`);
  server.close();
  // The home is free again.
  await (await lockHome(home)).release();
});

test('a process that does not start fails the whole start with its log, and everything else is stopped', async () => {
  const broken = small('broken', 'console.error("no luck"); process.exit(3)');
  const starting = start({ programs: () => [[small('first', waiter)], [broken]] });
  await expect(starting).rejects.toMatchObject({ code: 'process_failed' });
  await expect(starting).rejects.toThrow(/broken ended with exit code 3\. Its log is .*broken\.log\./);
  expect(await readFile(join(home, 'logs', 'broken.log'), 'utf8')).toContain('no luck');
  expect(await readPid(home, 'postgres')).toBeNull();
  expect(await readPid(home, 'first')).toBeNull();
});

test('a process that ignores SIGTERM is killed after its grace', async () => {
  const stubborn = small('stubborn', `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); ${readyLine}`, {
    stop: { signal: 'SIGTERM', graceMs: 300 },
  });
  const dev = await start({ programs: () => [[stubborn]] });
  const pid = dev.pidOf('stubborn') ?? 0;
  await dev.stop();
  expect(await identify(pid)).toBeNull();
});
const readyLine = `console.log('{"ready":true}')`;

test('a start that is given up stops what it has started', async () => {
  const asked = new AbortController();
  const never = small('never', 'process.stdin.resume()', { ready: () => Promise.resolve(false) });
  const starting = start({ programs: () => [[never]], signal: asked.signal });
  expect(await until(async () => (await readPid(home, 'never')) !== null, 30_000)).toBe(true);
  asked.abort();
  await expect(starting).rejects.toMatchObject({ code: 'cancelled' });
  expect(await readPid(home, 'postgres')).toBeNull();
});
