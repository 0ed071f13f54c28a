import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { DomainError } from '../domain/errors.js';
import { guardFile } from './files.js';
import { BoundedLog, lineSplitter } from './output.js';

/** A program that ends by itself. */
export interface ProgramRun {
  /** For people, at the start of a sentence. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** All that the program gets; `inherited` is our own environment, for tools that people configure by theirs (pip). */
  readonly env: Readonly<Record<string, string>> | 'inherited';
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs?: number;
  /** Where its process group is written down while it runs; what an earlier run left there is ended first. */
  readonly pidFile?: string;
  /** Null: nothing is written. */
  readonly logPath: string | null;
  /** The log keeps this much; a program that prints `printedFactor` times as much is ended. */
  readonly outputMaxBytes?: number;
  /** Both stdout and stderr, line by line; what it throws ends the program and is thrown. */
  readonly onLine?: (line: string) => void;
}

export interface ProgramEnd {
  /** 128 + n for signal n, 126 or 127 when it cannot be started. */
  readonly exitCode: number;
  readonly durationMs: number;
  readonly lastLines: readonly string[];
}

const graceDefaultMs = 5_000;
const outputDefaultBytes = 4 * 1024 * 1024;
const printedFactor = 8;
/** The guard insists with SIGKILL for 10 s; after that only a process the kernel itself holds on to is left. */
const guardMarginMs = 15_000;
const drainMaxMs = 1_000;

/**
 * Runs a program in a process group of its own, under the guard that ends the group when we are gone. Returns or throws
 * only when the whole group is gone. Throws `trainer_timeout`, `cancelled`, `trainer_failed` (it printed too much),
 * `lake_write_failed` (its log), `process_failed` (it cannot be ended).
 */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  if (run.signal?.aborted) throw cancelled(run);
  if (run.pidFile !== undefined) await endStrays(run.pidFile, run.graceMs);
  const { outputMaxBytes = outputDefaultBytes, graceMs = graceDefaultMs } = run;
  const log = new BoundedLog(run.logPath, outputMaxBytes);
  const startedMs = performance.now();
  const guard = spawnGuarded(run, graceMs);
  let failure: unknown = null;
  const end = (why: unknown) => {
    failure ??= why;
    guard.stdin?.end(); // The guard's lifeline.
  };
  const onAbort = () => end(cancelled(run));
  run.signal?.addEventListener('abort', onAbort, { once: true });
  if (run.signal?.aborted) onAbort(); // It came while strays were ended.
  const timer = setTimeout(() => end(timedOut(run, log)), run.timeoutMs);
  readOutput(guard, log, run.onLine, outputMaxBytes * printedFactor, end);
  try {
    const exitCode = await guardExit(guard, run.pidFile, graceMs, () => failure !== null);
    await log.end();
    if (failure !== null) throw failure;
    return { exitCode, durationMs: performance.now() - startedMs, lastLines: log.lastLines };
  } finally {
    clearTimeout(timer);
    run.signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * Ends what an earlier run left behind, its guard included, and returns when it is gone. A process that merely got the
 * same number is left alone. Throws `process_failed` when something cannot be ended.
 */
export async function endStrays(pidFile: string, graceMs = graceDefaultMs): Promise<void> {
  if (!existsSync(pidFile)) return;
  const args = [guardFile(), '--grace-ms', String(graceMs), '--end', pidFile];
  const child = spawn(process.execPath, args, { stdio: 'ignore', env: {} });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return;
  throw new DomainError('process_failed', 'What an earlier attempt started cannot be ended.', { pidFile });
}

function spawnGuarded(run: ProgramRun, graceMs: number): ChildProcess {
  const pidFile = run.pidFile === undefined ? [] : ['--pid-file', run.pidFile];
  const args = [guardFile(), '--grace-ms', String(graceMs), ...pidFile, '--', run.command, ...run.args];
  const env = run.env === 'inherited' ? {} : { env: run.env };
  // Detached: a Ctrl-C or a kill of our own group must not reach the guard, which has work to do then.
  const guard = spawn(process.execPath, args, {
    ...env,
    cwd: run.cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  guard.stdin?.on('error', () => {}); // It ended before we let go.
  return guard;
}

function readOutput(
  guard: ChildProcess,
  log: BoundedLog,
  onLine: ProgramRun['onLine'],
  printedMaxBytes: number,
  end: (why: unknown) => void,
): void {
  let printedBytes = 0;
  const take = (line: string) => {
    log.add(line);
    try {
      onLine?.(line);
    } catch (error) {
      end(error);
    }
  };
  for (const stream of [guard.stdout, guard.stderr]) {
    const lines = lineSplitter(take);
    stream?.on('data', (chunk: Buffer) => {
      printedBytes += chunk.length;
      if (printedBytes <= printedMaxBytes) return lines.push(chunk);
      end(
        new DomainError('trainer_failed', `The program printed more than ${printedMaxBytes} bytes.`, {
          printedMaxBytes,
        }),
      );
    });
    stream?.on('end', () => lines.end());
    stream?.on('error', () => {});
  }
}

/** The exit code of the program, when the guard and all its output are through. */
async function guardExit(
  guard: ChildProcess,
  pidFile: string | undefined,
  graceMs: number,
  isEnding: () => boolean,
): Promise<number> {
  const closed = once(guard, 'close').catch(() => {});
  const exit = once(guard, 'exit') as Promise<[number | null]>;
  const watchdog = setInterval(() => {
    if (!isEnding()) return;
    clearInterval(watchdog);
    setTimeout(() => guard.kill('SIGKILL'), graceMs + guardMarginMs).unref();
  }, 1_000).unref();
  const [code] = await exit.finally(() => clearInterval(watchdog));
  // Null: somebody killed the guard, so its program may live on.
  if (code === null && pidFile !== undefined) await endStrays(pidFile, graceMs);
  // A process that got away (without /proc the guard sees its group only) may still hold our pipes.
  const drained = setTimeout(() => {
    guard.stdout?.destroy();
    guard.stderr?.destroy();
  }, drainMaxMs);
  await closed;
  clearTimeout(drained);
  return code ?? 137;
}

const cancelled = (run: ProgramRun) => new DomainError('cancelled', `${run.name} was cancelled.`);

const timedOut = (run: ProgramRun, log: BoundedLog) =>
  new DomainError('trainer_timeout', `${run.name} did not finish in ${run.timeoutMs / 1000} s.`, {
    timeoutMs: run.timeoutMs,
    lastLines: log.lastLines.slice(-20),
  });
