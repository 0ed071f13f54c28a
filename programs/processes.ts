import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { until } from './waiting.js';

const run = promisify(execFile);

/** A process named so that a later one with the same number is not taken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque: the same for the same process as long as the machine is up. */
  readonly started: string;
}

/** Null when there is no such process, or only its zombie. */
export async function identify(pid: number): Promise<ProcessIdentity | null> {
  if (!Number.isInteger(pid) || pid <= 0) return null;
  const started = process.platform === 'linux' ? startedByProc(pid) : await startedByPs(pid);
  return started === null ? null : { pid, started };
}

export async function isSame({ pid, started }: ProcessIdentity): Promise<boolean> {
  return (await identify(pid))?.started === started;
}

function startedByProc(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; state is field 3, start time (ticks since boot) field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`;
  } catch {
    return null; // It ended.
  }
}

async function startedByPs(pid: number): Promise<string | null> {
  try {
    return (await run('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim() || null;
  } catch {
    return null; // ps ends with 1 when there is no such process.
  }
}

export async function childrenOf(pid: number): Promise<number[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('pgrep', ['-P', String(pid)]).catch(() => ({ stdout: '' }));
    return stdout.split('\n').filter(Boolean).map(Number);
  }
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return []; // It ended.
  }
}

/** The command line, for people; empty when it cannot be seen. */
export async function commandOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
    return stdout.trim();
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** Sends a signal; false when there is nobody to receive it. `group` reaches the whole process group. */
export function signal(pid: number, name: NodeJS.Signals, { group = false } = {}): boolean {
  try {
    return process.kill(group ? -pid : pid, name);
  } catch {
    return false;
  }
}

/** Asks a process to end, insists with SIGKILL after `graceMs`, and returns when it is gone. */
export async function endProcess(target: ProcessIdentity, name: NodeJS.Signals, graceMs: number): Promise<void> {
  const gone = async () => !(await isSame(target));
  if (await gone()) return;
  signal(target.pid, name);
  if (await until(gone, graceMs)) return;
  signal(target.pid, 'SIGKILL');
  await until(gone, 10_000);
}
