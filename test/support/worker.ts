import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import type { World } from './world.js';

export interface WorkerProcess {
  readonly pid: number;
  /** `kill -9`; returns when it is gone. */
  kill(): Promise<void>;
  /** When it ended by itself, as a failpoint makes it. */
  gone(): Promise<void>;
  /** Asks it to drain; returns its exit code. */
  stop(): Promise<number | null>;
}

/** The worker as it runs in production, in a process of its own; returns when it is ready. */
export async function startWorkerProcess(world: World): Promise<WorkerProcess> {
  const file = join(projectRoot, 'dist/apps/worker/main.js');
  const child = spawn(process.execPath, [file], { env: { ...world.environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
    return child.exitCode;
  };
  const ended = once(child, 'exit');
  await ready(child);
  return {
    pid: child.pid ?? 0,
    gone: async () => void (await ended),
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
}

async function ready(child: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('"ready":true')) resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', () => reject(new Error(`The worker ended before it was ready: ${said}`)));
  });
}
