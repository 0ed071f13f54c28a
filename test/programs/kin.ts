import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify } from '../../programs/processes.js';
import { until } from '../../programs/waiting.js';

const folders: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'eider-programs-'));
  folders.push(folder);
  return folder;
}

export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export interface Family {
  readonly program: number;
  readonly child: number;
  readonly daemon: number;
}

/** What family.mjs wrote down, once it has. */
export async function familyIn(file: string): Promise<Family> {
  await until(() => existsSync(file), 20_000, { everyMs: 10 });
  return JSON.parse(readFileSync(file, 'utf8')) as Family;
}

/** A daemon that left the group is only found where there is /proc. */
export const membersOf = ({ program, child, daemon }: Family): number[] =>
  process.platform === 'linux' ? [program, child, daemon] : [program, child];

export async function livingOf(pids: readonly number[]): Promise<number[]> {
  const living = await Promise.all(pids.map(async (pid) => ((await identify(pid)) === null ? [] : [pid])));
  return living.flat();
}
