import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where DuckDB may put what does not fit into its memory, and how much. */
export interface Spill {
  /** Absolute; processes have folders of their own within. */
  readonly folder: string;
  readonly bytesMax: number;
}

/** This process's own folder, empty, which nobody else on the machine may look into; those of dead processes are removed. */
export function openSpill({ folder }: Spill): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(folder))
    if (/^\d+$/.test(name) && (Number(name) === process.pid || !isAlive(Number(name))))
      rmSync(join(folder, name), { recursive: true, force: true });
  const own = join(folder, String(process.pid));
  mkdirSync(own, { recursive: true, mode: 0o700 });
  return own;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
