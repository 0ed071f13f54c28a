import { DomainError } from '../../domain/errors.js';
import { checkDatabase, postgresUrl } from '../../programs/postgres.js';
import type { Program } from '../../programs/program.js';
import { ensureSearchAttributes } from '../../programs/temporal.js';
import type { Config } from '../config.js';
import { emptyHome, endOrphans, lockHome } from './dev-home.js';
import type { HomeLock } from './dev-home.js';
import type { Output } from './dev-output.js';
import { addressesOf, foundations, ownPrograms, planDev, wantedPorts } from './dev-plan.js';
import type { Addresses, Plan } from './dev-plan.js';
import { checkPorts } from './dev-ports.js';
import { supervise } from './dev-supervise.js';
import type { Supervised } from './dev-supervise.js';

export interface DevOptions {
  readonly config: Config;
  readonly output: Output;
  /** Moves every port: see `choosePorts`. */
  readonly portBase?: number | null;
  /** How many inference processes. */
  readonly instances?: number;
  /** Begins with an empty home: what an earlier run left there is removed, once nothing runs on it any more. */
  readonly fresh?: boolean;
  /** Gives up a start that is under way; what has been started is stopped. */
  readonly signal?: AbortSignal;
  /** What runs on PostgreSQL and Temporal; Eider's own processes unless somebody knows better. */
  readonly programs?: (plan: Plan, addresses: Addresses) => Program[][];
}

export interface Dev {
  readonly addresses: Addresses;
  /** Process ids by name, of what lives now. */
  children(): Readonly<Record<string, number>>;
  /** The process of a name, null while it is being started again. */
  pidOf(name: string): number | null;
  restartsOf(name: string): number;
  /** Drains everything in the order opposite to the start. */
  stop(): Promise<void>;
  /** Kills everything at once. */
  force(): void;
}

/**
 * Starts PostgreSQL and Temporal, then Eider's processes on them, and keeps them running. Throws `home_in_use`, `port_busy`,
 * `tool_missing`, `process_failed`, `database_unreachable`, `temporal_unreachable` or, when the signal came, `cancelled`.
 */
export async function startDev(options: DevOptions): Promise<Dev> {
  const { config, output } = options;
  const plan = planDev(config, options.portBase ?? null, options.instances ?? 1);
  const lock = await lockHome(config.home);
  const running: Supervised[][] = [];
  const stop = once(() => stopAll(running, lock, output));
  const onAbort = () => void stop();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const orphans = await endOrphans(config.home);
    if (orphans.length > 0) output.say(`ended what an earlier run had left: ${orphans.join(', ')}`);
    await checkPorts(wantedPorts(plan));
    if (options.fresh) await emptyHome(config.home);
    const database = await startFoundations(plan, options, running);
    const addresses = addressesOf(plan, database);
    for (const stage of (options.programs ?? ownPrograms)(plan, addresses)) await startStage(stage, options, running);
    options.signal?.throwIfAborted();
    return handle(addresses, running, stop);
  } catch (error) {
    await stop();
    if (options.signal?.aborted) throw new DomainError('cancelled', 'The start was given up.', {}, { cause: error });
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** Returns the URL of the database. */
async function startFoundations(plan: Plan, options: DevOptions, running: Supervised[][]): Promise<string> {
  const { config, given, ports } = plan;
  if (given.database !== null) await checkDatabase(given.database);
  if (given.temporal !== null) await ensureSearchAttributes(given.temporal, config.temporal.namespace);
  await startStage(foundations(plan, options.output.say), options, running);
  const database = given.database ?? (await postgresUrl({ home: config.home, port: ports.postgres }));
  if (database === null) throw new DomainError('database_unreachable', 'PostgreSQL has no data folder.');
  return database;
}

async function startStage(programs: readonly Program[], options: DevOptions, running: Supervised[][]): Promise<void> {
  const { config, output, signal } = options;
  signal?.throwIfAborted();
  if (programs.length === 0) return;
  const stage = programs.map((program) => supervise(program, config.home, output));
  running.push(stage);
  const started = performance.now();
  await Promise.all(
    stage.map(async (one) => {
      await one.ready;
      output.say(`${one.name} is ready (process ${one.pid()}, ${((performance.now() - started) / 1000).toFixed(1)} s)`);
    }),
  );
}

async function stopAll(running: readonly Supervised[][], lock: HomeLock, output: Output): Promise<void> {
  for (const stage of [...running].reverse()) {
    output.say(`stopping ${stage.map(({ name }) => name).join(', ')}`);
    await Promise.all(stage.map((one) => one.stop()));
  }
  await lock.release();
}

function handle(addresses: Addresses, running: readonly Supervised[][], stop: () => Promise<void>): Dev {
  const all = running.flat();
  const named = (name: string) => all.find((one) => one.name === name);
  return {
    addresses,
    children: () =>
      Object.fromEntries(all.flatMap((one) => (one.pid() === null ? [] : [[one.name, one.pid() ?? 0] as const]))),
    pidOf: (name) => named(name)?.pid() ?? null,
    restartsOf: (name) => named(name)?.restarts() ?? 0,
    stop,
    force: () => all.forEach((one) => one.force()),
  };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => (done ??= work());
}
