import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pythonEnvironment } from '../../programs/python.js';
import { removeFolders, temporaryFolder } from './kin.js';

const lockFile = join(import.meta.dirname, 'tiny.lock');

afterAll(removeFolders);

const counted = (progress: readonly string[]) =>
  progress.filter((line) => line.startsWith('making a virtual environment'));

test('an environment is built once, however many ask at the same time, and then simply there', async () => {
  const cacheDir = temporaryFolder();
  const progress: string[] = [];
  const ask = () => pythonEnvironment({ cacheDir, lockFile, name: 'tiny', onProgress: (text) => progress.push(text) });
  const [first, ...others] = await Promise.all([ask(), ask(), ask()]);
  expect(others).toEqual([first, first]);
  expect(counted(progress)).toHaveLength(1);
  expect(await ask()).toBe(first);
  expect(counted(progress)).toHaveLength(1);
  const program = 'import typing_extensions, sys; print(sys.prefix)';
  expect(execFileSync(first!, ['-c', program], { encoding: 'utf8' }).trim()).toBe(dirname(dirname(first!)));
}, 180_000);

test('what a dead builder left half-built is cleared away and built anew', async () => {
  const cacheDir = temporaryFolder();
  const path = await pythonEnvironment({ cacheDir, lockFile, name: 'tiny' });
  const folder = dirname(dirname(path));
  rmSync(join(folder, '.ready'));
  rmSync(path);
  mkdirSync(join(folder, 'rubbish'));
  expect(await pythonEnvironment({ cacheDir, lockFile, name: 'tiny' })).toBe(path);
  expect(readdirSync(folder)).not.toContain('rubbish');
  expect(existsSync(join(folder, '.ready'))).toBe(true);
}, 180_000);

test('a cancelled build stops, leaves nothing that counts, and the next one succeeds', async () => {
  const cacheDir = temporaryFolder();
  const stop = new AbortController();
  const cancelled = pythonEnvironment({
    cacheDir,
    lockFile,
    name: 'tiny',
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
  const path = await pythonEnvironment({ cacheDir, lockFile, name: 'tiny' });
  expect(existsSync(path)).toBe(true);
}, 180_000);

test('a package whose hash is not the locked one is refused', async () => {
  const folder = temporaryFolder();
  const wrong = join(folder, 'wrong.lock');
  writeFileSync(wrong, `typing-extensions==4.16.0 --hash=sha256:${'0'.repeat(64)}\n`);
  await expect(pythonEnvironment({ cacheDir: folder, lockFile: wrong, name: 'wrong' })).rejects.toMatchObject({
    code: 'trainer_environment_failed',
    message: expect.stringMatching(/hash/i) as string,
  });
}, 180_000);

/** A Python that differs from the real one in what `patch` does before anything else runs. */
function patchedPython(folder: string, patch: string): string {
  const path = join(folder, 'patched-python');
  const run = `import sys, runpy; ${patch}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")`;
  writeFileSync(path, `#!/bin/sh\nshift\nexec python3 -I -c '${run}' "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

test.each([
  ['does not exist', () => '/no/such/python', 'not found'],
  ['is too old', (folder: string) => patchedPython(folder, 'sys.version_info = (3, 6, 15)'), 'older than 3.10'],
  [
    'cannot make virtual environments, as on Debian',
    (folder: string) => patchedPython(folder, 'sys.modules["ensurepip"] = None'),
    'apt-get install python3',
  ],
])('a Python that %s is refused, and the error says what to do', async (_, pythonIn, reason) => {
  const cacheDir = temporaryFolder();
  const python = pythonIn(cacheDir);
  await expect(pythonEnvironment({ cacheDir, lockFile, name: 'tiny', python })).rejects.toMatchObject({
    code: 'trainer_environment_failed',
    message: expect.stringContaining(reason) as string,
  });
});

test('a lock file that does not exist is named', async () => {
  const wanted = { cacheDir: temporaryFolder(), lockFile: '/no/such.lock', name: 'tiny' };
  await expect(pythonEnvironment(wanted)).rejects.toMatchObject({ code: 'trainer_environment_failed' });
});
