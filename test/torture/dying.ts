import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import type { World } from '../support/world.js';

export interface Armed {
  /** Resolves with the exit code when it has died. */
  readonly died: Promise<number | null>;
  /** Ends it if it still lives. */
  kill(): Promise<void>;
}

/** A worker or an API as they run in production, in a process that dies where the settings say; returns when it is ready. */
export async function startArmed(
  world: World,
  app: 'worker' | 'api',
  settings: Readonly<Record<string, string | number>>,
): Promise<Armed> {
  const given = Object.entries(settings).map(([name, value]) => [name, String(value)]);
  const env = { ...world.environment, ...Object.fromEntries(given) };
  const file = join(projectRoot, 'dist', 'apps', app, 'main.js');
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const died = once(child, 'exit').then(([code]) => code as number | null);
  await ready(child, died);
  const kill = async () => {
    child.kill('SIGKILL');
    await died;
  };
  return { died, kill };
}

async function ready(child: ChildProcess, died: Promise<unknown>): Promise<void> {
  let said = '';
  const saysReady = new Promise<void>((resolve) => {
    const take = (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('"ready":true')) resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
  });
  const ended = died.then(() => {
    if (!said.includes('"ready":true')) throw new Error(`The process ended before it was ready: ${said}`);
  });
  await Promise.race([saysReady, ended]);
}
