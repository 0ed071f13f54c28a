import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, waitReady } from '../../programs/program.js';
import type { Launched, Program } from '../../programs/program.js';

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'eider-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** A port that nobody uses now, and that no connection is given by the system: those begin above. */
export const freePort = (): Promise<number> => freePorts(1);

/** The first of `count` ports in a row that nobody uses now. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(base + index)));
    if (free.every(Boolean)) return base;
  }
  throw new Error(`there are no ${count} free ports in a row`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Starts a program and waits until it is ready; what it said is in the error otherwise. */
export async function started(program: Program): Promise<Launched> {
  const lines: string[] = [];
  const launched = await launch(program, (line) => lines.push(line));
  await waitReady(program, launched, 45_000).catch(async (error: Error) => {
    launched.force();
    throw new Error(`${error.message}\n${lines.join('\n')}`);
  });
  return launched;
}
