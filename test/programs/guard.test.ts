import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { guardFile } from '../../programs/files.js';
import { until } from '../../programs/waiting.js';
import { familyIn, livingOf, membersOf, removeFolders, temporaryFolder } from './kin.js';

const family = join(import.meta.dirname, 'family.mjs');
const starter = join(import.meta.dirname, 'starter.mjs');
const stayMs = 20_000;
let started: ChildProcess[] = [];

const start = (args: readonly string[]): ChildProcess => {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  started.push(child);
  return child;
};
const guarded = (...args: readonly string[]) => start([guardFile(), ...args]);
const exitOf = async (child: ChildProcess) => (await once(child, 'exit')) as [number | null, string | null];

afterEach(async () => {
  for (const child of started) child.stdin?.destroy();
  await until(() => started.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null), stayMs);
  started = [];
  removeFolders();
});

test.each([
  ['its exit code', ['sh', '-c', 'exit 7'], 7],
  ['128 + n for signal n', ['sh', '-c', 'kill -9 $$'], 137],
  ['127 for a command that does not exist', ['/no/such/command'], 127],
  ['126 for a command that may not be run', ['/etc/passwd'], 126],
])('the guard ends as its command does, with %s', async (_, command, exitCode) => {
  expect(await exitOf(guarded('--grace-ms', '100', '--', ...command))).toEqual([exitCode, null]);
});

test('the guard passes on what the command prints, and adds nothing', async () => {
  const guard = guarded('--grace-ms', '100', '--', 'sh', '-c', 'echo out; echo err >&2');
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) guard[name]?.on('data', (data) => (printed[name] += String(data)));
  await once(guard, 'close');
  expect(printed).toEqual({ stdout: 'out\n', stderr: 'err\n' });
});

test('when the starter is killed with -9, command, grandchildren and daemons end', async () => {
  const file = join(temporaryFolder(), 'family.json');
  const parent = start([
    starter,
    process.execPath,
    guardFile(),
    '--grace-ms',
    '200',
    '--',
    process.execPath,
    family,
    file,
  ]);
  const members = membersOf(await familyIn(file));
  expect(await livingOf(members)).toEqual(members);
  parent.kill('SIGKILL');
  expect(await until(async () => (await livingOf(members)).length === 0, stayMs)).toBe(true);
});

test('a command that ignores the signal is killed after the grace', async () => {
  const file = join(temporaryFolder(), 'family.json');
  const guard = guarded('--grace-ms', '300', '--', process.execPath, family, file, 'stubborn');
  const members = membersOf(await familyIn(file));
  const endedMs = performance.now();
  guard.stdin?.end();
  expect(await exitOf(guard)).toEqual([137, null]);
  expect(performance.now() - endedMs).toBeGreaterThan(290);
  expect(await livingOf(members)).toEqual([]);
});

test('a command that ends by itself leaves no grandchild behind', async () => {
  const file = join(temporaryFolder(), 'family.json');
  const guard = guarded('--grace-ms', '200', '--', process.execPath, family, file, 'brief');
  expect(await exitOf(guard)).toEqual([3, null]);
  expect(await livingOf(membersOf(await familyIn(file)))).toEqual([]);
});

test.each(['SIGINT', 'SIGHUP'] as const)(
  '%s, which a terminal sends to everybody, does not move the guard',
  async (name) => {
    const file = join(temporaryFolder(), 'family.json');
    const guard = guarded('--grace-ms', '200', '--', process.execPath, family, file);
    const members = membersOf(await familyIn(file));
    guard.kill(name);
    expect(await until(() => guard.exitCode !== null, 200)).toBe(false);
    expect(await livingOf(members)).toEqual(members);
    guard.kill('SIGTERM');
    expect(await exitOf(guard)).toEqual([143, null]);
  },
);

test('the signal that is asked for is the one that is sent', async () => {
  const script = "trap 'exit 44' INT; echo ready; while :; do sleep 0.05; done";
  const guard = guarded('--grace-ms', '5000', '--signal', 'SIGINT', '--', 'sh', '-c', script);
  await once(guard.stdout!, 'data');
  guard.stdin?.end();
  expect(await exitOf(guard)).toEqual([44, null]);
});

test('when the guard is killed too, --end finds the group by its file, ends it and removes the file', async () => {
  const folder = temporaryFolder();
  const [file, pidFile] = [join(folder, 'family.json'), join(folder, 'pid')];
  const guard = guarded('--grace-ms', '200', '--pid-file', pidFile, '--', process.execPath, family, file);
  const members = membersOf(await familyIn(file));
  guard.kill('SIGKILL');
  await once(guard, 'exit');
  expect(await livingOf(members)).toEqual(members);
  expect(await exitOf(guarded('--grace-ms', '200', '--end', pidFile))).toEqual([0, null]);
  expect(await livingOf(members)).toEqual([]);
  expect(existsSync(pidFile)).toBe(false);
});

test('--end leaves a process alone that merely got the number of an earlier one', async () => {
  const pidFile = join(temporaryFolder(), 'pid');
  const stranger = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  await once(stranger, 'spawn');
  const guard = { pid: stranger.pid, start: 'another time' };
  writeFileSync(pidFile, JSON.stringify({ pid: stranger.pid, start: 'another time', mark: 'no-such-mark', guard }));
  expect(await exitOf(guarded('--grace-ms', '0', '--end', pidFile))).toEqual([0, null]);
  expect(await livingOf([stranger.pid!])).toEqual([stranger.pid]);
  stranger.kill('SIGKILL');
});

test('a pid file goes with the command, and holds nothing to end while there is none', async () => {
  const pidFile = join(temporaryFolder(), 'pid');
  const guard = guarded('--grace-ms', '100', '--pid-file', pidFile, '--', 'sh', '-c', 'sleep 2');
  await until(() => Promise.resolve(existsSync(pidFile)), 10_000);
  expect(JSON.parse(readFileSync(pidFile, 'utf8'))).toMatchObject({ guard: { pid: guard.pid } });
  expect(await exitOf(guard)).toEqual([0, null]);
  expect(existsSync(pidFile)).toBe(false);
  expect(await exitOf(guarded('--grace-ms', '0', '--end', pidFile))).toEqual([0, null]);
});
