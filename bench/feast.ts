import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../apps/config.js';
import { until } from '../programs/waiting.js';
import { feastPython } from './data.js';

export interface FeastView {
  readonly name: string;
  /** A Parquet file with `user_id`, `event_time` and the features, which are doubles. */
  readonly path: string;
  readonly features: readonly string[];
}

/** Materializes the views by Feast's local engine into SQLite in the folder; the seconds of each. */
export async function feastMaterialize(folder: string, views: readonly FeastView[]): Promise<Record<string, number>> {
  const program = join(loadConfig().projectRoot, 'bench', 'peers', 'feast_store.py');
  const task = JSON.stringify({ folder, views });
  const { stdout } = await promisify(execFile)(await feastPython(), ['-I', program, task], { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, number>;
}

const startMs = 60_000;

/** Feast's server over the folder, in one process as ours is; ends it when the work is done. */
export async function withFeastServer<Result>(
  folder: string,
  port: number,
  work: (url: string) => Promise<Result>,
): Promise<Result> {
  const feast = join(dirname(await feastPython()), 'feast');
  const args = [
    '-c',
    folder,
    'serve',
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--workers',
    '1',
    '--no-access-log',
  ];
  const env = { ...process.env, FEAST_USAGE: 'False' };
  const child = spawn(feast, args, { env, stdio: 'ignore', detached: true });
  const gone = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  const answers = () => fetch(`${url}/health`).then(({ ok }) => ok, () => false); // prettier-ignore
  try {
    if (!(await until(answers, startMs, { everyMs: 200 }))) throw new Error('Feast’s server did not start.');
    return await work(url);
  } finally {
    // Its workers are in the same process group.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await gone;
  }
}
