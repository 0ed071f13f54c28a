import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { guardFile } from '../../programs/files.js';
import { lineSplitter } from '../../programs/output.js';
import { endStrays, runProgram } from '../../programs/process.js';
import type { ProgramRun } from '../../programs/process.js';
import { familyIn, livingOf, membersOf, removeFolders, temporaryFolder } from './kin.js';

const family = join(import.meta.dirname, 'family.mjs');
const env = { PATH: process.env.PATH ?? '', LANG: 'C.UTF-8' };

const running = (command: readonly string[], more: Partial<ProgramRun> = {}) =>
  runProgram({
    name: 'The program',
    command: command[0]!,
    args: command.slice(1),
    cwd: import.meta.dirname,
    env,
    timeoutMs: 20_000,
    graceMs: 200,
    logPath: null,
    ...more,
  });

afterEach(removeFolders);

test('a program gets exactly the environment it is given, and the guard’s mark', async () => {
  const { lastLines } = await running(['env'], { env: { PATH: env.PATH, ONE: '1' } });
  const names = lastLines.map((line) => line.split('=')[0]);
  expect(names.sort()).toEqual(['EIDER_GUARD', 'ONE', 'PATH']);
});

test('its lines reach the caller in order, from both outputs, and its log', async () => {
  const lines: string[] = [];
  const logPath = join(temporaryFolder(), 'log');
  const script = 'echo one; echo two; echo three >&2; printf four; exit 5';
  const { exitCode } = await running(['sh', '-c', script], { logPath, onLine: (line) => lines.push(line) });
  expect(exitCode).toBe(5);
  expect(lines.filter((line) => line !== 'three')).toEqual(['one', 'two', 'four']);
  expect(readFileSync(logPath, 'utf8').trim().split('\n').sort()).toEqual(['four', 'one', 'three', 'two']);
});

test.each([
  ['no time is left', 'trainer_timeout', () => ({ timeoutMs: 500 })],
  ['it is cancelled', 'cancelled', () => ({ signal: AbortSignal.timeout(500) })],
])('when %s, runProgram throws %s after the whole group is gone', async (_, code, more) => {
  const file = join(temporaryFolder(), 'family.json');
  await expect(running([process.execPath, family, file, 'stubborn'], more())).rejects.toMatchObject({ code });
  expect(await livingOf(membersOf(await familyIn(file)))).toEqual([]);
});

test('what was cancelled before it began does not start', async () => {
  const run = running(['sh', '-c', 'echo started'], {
    signal: AbortSignal.abort(),
    onLine: () => expect(true).toBe(false),
  });
  await expect(run).rejects.toMatchObject({ code: 'cancelled' });
});

test('a program that prints for ever is ended; log, lines and memory stay bounded', async () => {
  const logPath = join(temporaryFolder(), 'log');
  let longest = 0;
  const onLine = (line: string) => (longest = Math.max(longest, line.length));
  const run = running(['sh', '-c', 'cat /dev/zero'], { logPath, outputMaxBytes: 100_000, onLine });
  await expect(run).rejects.toMatchObject({ code: 'trainer_failed' });
  const words = running(['yes', 'garbage'], { logPath, outputMaxBytes: 100_000, onLine });
  await expect(words).rejects.toMatchObject({ code: 'trainer_failed' });
  expect(statSync(logPath).size).toBeLessThan(110_000);
  expect(longest).toBeLessThan(5_000);
});

test('a log that is cut keeps its beginning and its end, and says how much is missing', async () => {
  const logPath = join(temporaryFolder(), 'log');
  const { lastLines } = await running(['seq', '1', '1000'], { logPath, outputMaxBytes: 1_000 });
  const lines = readFileSync(logPath, 'utf8').trim().split('\n');
  expect(lines[0]).toBe('1');
  expect(lines.find((line) => line.includes('lines left out'))).toMatch(/^… \d+ lines left out/);
  expect(lines.at(-1)).toBe('1000');
  expect(lastLines.at(-1)).toBe('1000');
});

test('what a line’s reader throws ends the program and comes out', async () => {
  const onLine = () => {
    throw new Error('enough');
  };
  await expect(running(['sh', '-c', 'echo one; sleep 600'], { onLine })).rejects.toThrow('enough');
});

test('when the guard is killed, runProgram still returns only after the program is gone', async () => {
  const folder = temporaryFolder();
  const [file, pidFile] = [join(folder, 'family.json'), join(folder, 'pid')];
  const run = running([process.execPath, family, file], { pidFile });
  const members = membersOf(await familyIn(file));
  const { guard } = JSON.parse(readFileSync(pidFile, 'utf8')) as { guard: { pid: number } };
  process.kill(guard.pid, 'SIGKILL');
  expect(await run).toMatchObject({ exitCode: 137 });
  expect(await livingOf(members)).toEqual([]);
});

test('a later attempt ends what an earlier one left, before it starts', async () => {
  const folder = temporaryFolder();
  const [file, pidFile] = [join(folder, 'family.json'), join(folder, 'pid')];
  const args = [guardFile(), '--grace-ms', '100', '--pid-file', pidFile, '--', process.execPath, family, file];
  const earlier = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'ignore'] });
  const members = membersOf(await familyIn(file));
  const living: Promise<number[]>[] = [];
  await running(['sh', '-c', 'echo started; sleep 0.2'], {
    pidFile,
    onLine: () => void living.push(livingOf(members)),
  });
  expect(await Promise.all(living)).toEqual([[]]);
  expect(earlier.exitCode ?? (await once(earlier, 'exit'))[0]).toBe(143);
});

test('ending strays where there are none is no work', async () => {
  await endStrays(join(temporaryFolder(), 'pid'));
});

test.each([
  ['chunks that cut lines and characters', ['on', 'e\ntw', 'o\n', 'thr', 'ee'], ['one', 'two', 'three']],
  ['empty lines', ['\n\na\n'], ['', '', 'a']],
  ['escape sequences', ['\u001b[31mred\u001b[0m\r\n'], ['[31mred[0m']],
])('lines are put together from %s', (_, chunks, lines) => {
  const seen: string[] = [];
  const splitter = lineSplitter((line) => seen.push(line));
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.end();
  expect(seen).toEqual(lines);
});
