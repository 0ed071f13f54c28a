import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError, isDomainError } from '../domain/errors.js';
import { environmentFile } from './files.js';
import { runProgram } from './process.js';

export interface PythonEnvironment {
  /** Environments lie under `<cacheDir>/python`. */
  readonly cacheDir: string;
  /** A requirements file in which every package is pinned and hashed. */
  readonly lockFile: string;
  /** Part of the folder's name, for people: letters, digits, `-` and `_`. */
  readonly name: string;
  /** The interpreter to use; without it the first fit one on PATH. */
  readonly python?: string | null;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** What is being done, a sentence at a time. */
  readonly onProgress?: (text: string) => void;
}

const buildTimeoutMs = 15 * 60_000;
const unusableExitCode = 3;
const namesOnPath = ['python3', 'python3.13', 'python3.12', 'python3.11', 'python3.10'];

/**
 * The Python of a virtual environment that holds exactly what the lock file says. It is built once for this lock, Python and
 * platform; whoever asks meanwhile, in any process, waits. Never half-built: what a dead builder left is cleared away.
 * Throws `trainer_environment_failed` or `cancelled`.
 */
export async function pythonEnvironment(wanted: PythonEnvironment): Promise<string> {
  if (!/^[\w-]{1,64}$/.test(wanted.name)) throw failed(wanted, 'its name must be letters, digits, - and _', []);
  await stat(wanted.lockFile).catch((error: unknown) => {
    throw failed(wanted, `the lock file cannot be read: ${String(error)}`, []);
  });
  const folder = join(wanted.cacheDir, 'python');
  await mkdir(folder, { recursive: true });
  const reasons: string[] = [];
  for (const python of wanted.python ? [wanted.python] : namesOnPath) {
    const built = await build(wanted, python, folder);
    if ('path' in built) return built.path;
    reasons.push(`${python}: ${built.unusable}`);
  }
  const advice = 'Install Python 3.10 or newer with its venv module, or set EIDER_PYTHON to one.';
  throw failed(wanted, `no fit Python was found (${reasons.join('; ')}). ${advice}`, reasons);
}

type Built = { readonly path: string } | { readonly unusable: string };

async function build(wanted: PythonEnvironment, python: string, folder: string): Promise<Built> {
  const { exitCode, lastLines } = await runProgram({
    name: `The build of Python environment ${wanted.name}`,
    command: python,
    // -I: nothing of a PYTHONPATH or of the user's own packages gets in; pip's own settings (PIP_…) do.
    args: ['-I', environmentFile(), folder, wanted.name, wanted.lockFile],
    cwd: folder,
    env: 'inherited',
    timeoutMs: wanted.timeoutMs ?? buildTimeoutMs,
    signal: wanted.signal,
    logPath: null,
    onLine: (line) => wanted.onProgress?.(line),
  }).catch((error: unknown) => {
    if (isDomainError(error) && error.code !== 'cancelled') throw failed(wanted, error.message, []);
    throw error;
  });
  const last = lastLines.at(-1) ?? '';
  if (exitCode === 0 && last.startsWith('ready ')) return { path: last.slice('ready '.length) };
  if (exitCode === unusableExitCode) return { unusable: last };
  if (exitCode === 126 || exitCode === 127) return { unusable: 'not found, or it does not start' };
  const errors = lastLines.filter((line) => line.startsWith('ERROR'));
  throw failed(wanted, errors.at(-1) ?? (last || `exit code ${exitCode}`), lastLines);
}

const failed = ({ name }: PythonEnvironment, reason: string, lastLines: readonly string[]) =>
  new DomainError('trainer_environment_failed', `The Python environment "${name}" could not be built: ${reason}`, {
    name,
    lastLines: lastLines.slice(-20),
  });
