import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dev } from './dev.js';

/** Each of them is killed at least once. */
export const victims = ['worker', 'api', 'flight', 'serve', 'temporal'] as const;

export interface Killing {
  readonly at: string;
  readonly name: string;
  readonly pid: number;
}

export interface Killer {
  readonly killings: readonly Killing[];
  /** Resolves when all kills are done; `stop` gives up those that are left. */
  readonly done: Promise<void>;
  stop(): void;
}

/** mulberry32: small, seeded, good enough to choose whom and when. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface ChaosPlan {
  readonly seed: number;
  readonly kills: number;
  /** The kills are spread over this time from now on. */
  readonly overMs: number;
}

/** `kill -9` at random moments: every victim once in random order, the rest at random. */
export function startKiller(dev: Dev, { seed, kills, overMs }: ChaosPlan, onKill: (killing: Killing) => void): Killer {
  const next = random(seed);
  const order = [...victims].sort(() => next() - 0.5) as string[];
  while (order.length < kills) order.push(victims[Math.floor(next() * victims.length)] ?? 'worker');
  const moments = order.map(() => next() * overMs).sort((a, b) => a - b);
  const stopping = new AbortController();
  const killings: Killing[] = [];
  const began = performance.now();
  const run = async () => {
    for (const [at, name] of order.entries()) {
      await sleep(Math.max(0, (moments[at] ?? 0) - (performance.now() - began)), undefined, {
        signal: stopping.signal,
      });
      const pid = await alive(dev, name, stopping.signal);
      process.kill(pid, 'SIGKILL');
      const killing = { at: new Date().toISOString(), name, pid };
      killings.push(killing);
      onKill(killing);
    }
  };
  const done = run().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  return { killings, done, stop: () => stopping.abort() };
}

/** A victim that is being started again is waited for: a kill must hit something. */
async function alive(dev: Dev, name: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    const pid = dev.pidOf(name);
    if (pid !== null) return pid;
    await sleep(50, undefined, { signal });
  }
}

/** Processes that still name the home folder in their command line or environment: there must be none after the end. */
export async function orphansOf(home: string): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).map(Number).filter((pid) => pid > 0 && pid !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const texts = await Promise.all(
        ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
      );
      return texts.some((text) => text.includes(home)) ? [pid] : [];
    }),
  );
  return found.flat();
}
