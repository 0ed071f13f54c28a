import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunId } from '../../domain/ids.js';
import { identify, type ProcessIdentity } from '../../programs/processes.js';
import { until } from '../../programs/waiting.js';

/** The processes of a trainer `copy` that hangs, once it does: the trainer and its child. */
export async function hangingTrainer(world: { trainers: { work: string } }, run: RunId): Promise<ProcessIdentity[]> {
  let pids: number[] = [];
  const file = join(world.trainers.work, run, 'attempts');
  const hangs = () =>
    readFile(file, 'utf8').then(
      (text) => (pids = text.split(' ').map(Number)).length === 2,
      () => false,
    );
  if (!(await until(hangs, 30_000))) throw new Error('The trainer did not start.');
  const found = await Promise.all(pids.map((pid) => identify(pid)));
  return found.filter((one) => one !== null);
}

export async function untilGone(processes: readonly ProcessIdentity[]): Promise<void> {
  const living = async () => {
    const now = await Promise.all(
      processes.map(async ({ pid, started }) => (await identify(pid))?.started === started),
    );
    return now.some(Boolean);
  };
  if (!(await until(async () => !(await living()), 30_000))) throw new Error('The trainer lives on.');
}
