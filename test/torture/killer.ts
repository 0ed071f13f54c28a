import { random } from '../../apps/cli/demo-chaos.js';
import type { Dev } from '../../apps/cli/dev.js';
import { signal } from '../../programs/processes.js';
import { until } from '../../programs/waiting.js';

export const victims = ['worker', 'api', 'postgres'] as const;
const waitMaxMs = 2_500;
const againMaxMs = 120_000;

export interface Kill {
  readonly round: number;
  readonly name: string;
  readonly afterMs: number;
}

/** Seeded: which processes die in which round, and how long after the last death; every victim in turn, in random order. */
export function planKills(seed: number, kills: number, rounds: number): Kill[] {
  const next = random(seed);
  const names = Array.from({ length: kills }, (_, at) => victims[at % victims.length] as string);
  for (let at = names.length - 1; at > 0; at--) {
    const other = Math.floor(next() * (at + 1));
    [names[at], names[other]] = [names[other] as string, names[at] as string];
  }
  return names.map((name, at) => ({ round: 1 + Math.floor((at * rounds) / kills), name, afterMs: next() * waitMaxMs }));
}

/** A process that was killed can be signalled until somebody has noticed. */
const dead = new Set<number>();

/** `kill -9`; a victim that is being started again is waited for: a kill must hit something. */
export async function kill(dev: Dev, { name, afterMs }: Kill): Promise<number> {
  const due = performance.now() + afterMs;
  let hit: number | null = null;
  const tried = () => {
    const pid = performance.now() >= due ? dev.pidOf(name) : null;
    if (pid !== null && !dead.has(pid) && signal(pid, 'SIGKILL')) hit = pid;
    return hit !== null;
  };
  if (!(await until(tried, afterMs + againMaxMs, { everyMs: 10 })) || hit === null)
    throw new Error(`${name} was not started again.`);
  dead.add(hit);
  return hit;
}
