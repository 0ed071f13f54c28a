import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { DomainError } from '../domain/errors.js';
import { guardFile } from './files.js';
import { childrenOf, endProcess, identify, signal } from './processes.js';
import type { ProcessIdentity } from './processes.js';
import { until } from './waiting.js';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Something that runs for long: it can be started again at any time, whatever became of its last start. */
export interface Program {
  readonly name: string;
  /** Makes everything ready for a start, be it the first or the one after a kill, and says what to run. */
  prepare(): Promise<Command>;
  /** Asked until it is true; `saidReady` is whether the program wrote a JSON line with `"ready":true`. */
  ready(saidReady: boolean): Promise<boolean>;
  /** How it is asked to end, and how long it may take before it is killed. */
  readonly stop: { readonly signal: NodeJS.Signals; readonly graceMs: number };
  /** A foreign program runs under bin/guard.js, which ends it when we are gone; our own end when their stdin closes. */
  readonly guarded: boolean;
}

export interface Launched {
  readonly name: string;
  /** The program itself, not its guard. */
  readonly identity: ProcessIdentity;
  /** Everything started for it: guard and program. */
  readonly processes: readonly ProcessIdentity[];
  /** Settles when program and guard are both gone. */
  readonly exited: Promise<string>;
  hasExited(): boolean;
  saidReady(): boolean;
  /** Drains: the stop signal, then SIGKILL after the grace. */
  end(): Promise<void>;
  /** SIGKILL now. */
  force(): void;
}

export type OnLine = (line: string) => void;

/** Starts the program once and returns as soon as its process exists; throws `process_failed` when it cannot be started. */
export async function launch(program: Program, onLine: OnLine): Promise<Launched> {
  const command = await program.prepare();
  const child = spawnCommand(program, command);
  let said = false;
  readLines(child, (line) => {
    said ||= saysReady(line);
    onLine(line);
  });
  const closed = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  closed.catch(() => {});
  await once(child, 'spawn').catch((error: unknown) => {
    throw new DomainError(
      'process_failed',
      `${program.name} cannot be started: ${String(error)}.`,
      {},
      { cause: error },
    );
  });
  const outer = { pid: child.pid ?? 0, started: (await identify(child.pid ?? 0))?.started ?? '' };
  const inner = !program.guarded ? outer : ((await guardedChild(outer.pid, child)) ?? outer);
  let gone = false;
  const exited = closed.then(async ([code, by]) => {
    // A guard that was killed leaves its program behind.
    if (inner !== outer) await endProcess(inner, program.stop.signal, program.stop.graceMs);
    gone = true;
    return by === null ? `exit code ${code}` : `signal ${by}`;
  });
  return {
    name: program.name,
    identity: inner,
    processes: inner === outer ? [outer] : [outer, inner],
    exited,
    hasExited: () => gone,
    saidReady: () => said,
    end: async () => {
      if (!gone) await endLaunched(program, child, inner, exited);
    },
    force: () => {
      if (!gone) for (const { pid } of [inner, outer]) signal(pid, 'SIGKILL');
    },
  };
}

/** Throws `process_failed`, with the reason, when the program ends or the deadline passes before it is ready. */
export async function waitReady(program: Program, launched: Launched, deadlineMs: number): Promise<void> {
  let ready = false;
  await until(
    async () => {
      ready = await program.ready(launched.saidReady());
      return ready || launched.hasExited();
    },
    deadlineMs,
    { everyMs: 40 },
  );
  if (ready && !launched.hasExited()) return;
  const reason = launched.hasExited()
    ? `ended with ${await launched.exited}`
    : `was not ready after ${Math.round(deadlineMs / 1000)} s`;
  throw new DomainError('process_failed', `${program.name} ${reason}.`, { process: program.name });
}

function spawnCommand(program: Program, { file, args, env, cwd }: Command): ChildProcess {
  const options: SpawnOptions = { env, cwd, stdio: ['pipe', 'pipe', 'pipe'], detached: true };
  // Detached: Ctrl-C in a terminal reaches only us, so that we end them in order.
  const child = program.guarded
    ? spawn(process.execPath, [guardFile(), ...guardArgs(program), '--', file, ...args], options)
    : spawn(file, args, options);
  child.stdin?.on('error', () => {}); // It ended before we closed the pipe.
  return child;
}

const guardArgs = ({ stop }: Program) => ['--grace-ms', String(stop.graceMs), '--signal', stop.signal];

async function guardedChild(guard: number, child: ChildProcess): Promise<ProcessIdentity | null> {
  let found: ProcessIdentity | null = null;
  await until(
    async () => {
      const [pid] = await childrenOf(guard);
      found = pid === undefined ? null : await identify(pid);
      return found !== null || child.exitCode !== null || child.signalCode !== null;
    },
    5_000,
    { everyMs: 10 },
  );
  return found;
}

async function endLaunched(program: Program, child: ChildProcess, inner: ProcessIdentity, exited: Promise<string>) {
  const { signal: name, graceMs } = program.stop;
  if (!program.guarded) signal(inner.pid, name);
  child.stdin?.end(); // A guard signals its program itself.
  const marginMs = program.guarded ? 2_000 : 0;
  const timer = setTimeout(() => {
    signal(inner.pid, 'SIGKILL');
    if (child.pid !== undefined) signal(child.pid, 'SIGKILL', { group: true });
  }, graceMs + marginMs);
  await exited;
  clearTimeout(timer);
}

function readLines(child: ChildProcess, onLine: OnLine): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLine);
  }
}

function saysReady(line: string): boolean {
  if (!line.startsWith('{') || !line.includes('"ready":')) return false;
  try {
    return (JSON.parse(line) as { ready?: unknown }).ready === true;
  } catch {
    return false; // Not ours: some other program's line.
  }
}
