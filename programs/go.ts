import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../domain/errors.js';
import { runProgram } from './process.js';

export interface GoModule {
  /** Programs lie under `<cacheDir>/go`. */
  readonly cacheDir: string;
  /** The folder of go.mod and go.sum, which pin everything, and of a program. */
  readonly folder: string;
  readonly onProgress?: (text: string) => void;
}

const buildTimeoutMs = 10 * 60_000;
const notFoundCode = 127;

/**
 * The folder of what a Go module builds: its program, under the last part of the module's name, and the tools that go.mod
 * names. Built once for these sources; never half-built: the folder appears when all is there. Throws `tool_missing` or
 * `process_failed`.
 */
export async function goPrograms({ cacheDir, folder, onProgress }: GoModule): Promise<string> {
  const made = join(cacheDir, 'go', await digestOf(folder));
  if (await exists(made)) return made;
  const unfinished = `${made}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await build(folder, unfinished, onProgress);
    // Another process may have been first; what it made is the same.
    await rename(unfinished, made).catch(async (error: unknown) => {
      if (!(await exists(made))) throw error;
    });
    return made;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function build(folder: string, into: string, onProgress?: (text: string) => void): Promise<void> {
  const { exitCode, lastLines } = await runProgram({
    name: `The build of the Go programs of ${folder}`,
    command: 'go',
    args: ['build', '-mod=readonly', '-o', `${into}/`, '.', 'tool'],
    cwd: folder,
    env: 'inherited',
    timeoutMs: buildTimeoutMs,
    logPath: null,
    onLine: (line) => onProgress?.(line),
  });
  if (exitCode === notFoundCode)
    throw new DomainError('tool_missing', 'Go 1.25 or newer is not on PATH; tests build Arrow’s client for Go with it.', { tool: 'go' }); // prettier-ignore
  if (exitCode !== 0)
    throw new DomainError('process_failed', `The Go programs could not be built: ${lastLines.slice(-3).join(' ')}`, { folder, lastLines: lastLines.slice(-20) }); // prettier-ignore
}

async function digestOf(folder: string): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform}/${process.arch}`);
  for (const name of (await readdir(folder)).sort())
    if (/\.(go|mod|sum)$/.test(name)) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex').slice(0, 16);
}

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false); // prettier-ignore
