import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../apps/config.js';
import { benchEngine, benchFolder, dataFile, feastPython, share } from './data.js';
import { median, type Figure } from './figure.js';
import { portBase, viewOver, withHome } from './home.js';

const [rows, keys, days, rounds] = [300_000, 10_000, 20, 3] as const;
const features = Array.from({ length: 7 }, (_, at) => `f${at}`);
/** Behind those of the home. */
const feastPort = portBase + 20;

const events = `SELECT (i % ${keys})::BIGINT AS user_id, TIMESTAMP '2001-01-01' + to_microseconds((i * ${days * 86_400} // ${rows}) * 1000000) AS event_time,
  ${features.map((name) => `100 * ${share(name)} AS ${name}`).join(', ')} FROM range(${rows}) t(i)`;

/** Historical features by Feast's own client from our Flight service and from Feast's offline server over the same rows. */
export async function flightFeastBench(): Promise<Figure[]> {
  const engine = await benchEngine();
  const path = await dataFile(engine, 'offline-events', events);
  engine.close();
  const folder = await mkdtemp(join(benchFolder, 'feast-offline-'));
  try {
    const measured = await withHome('flight-feast', async (home) => {
      await home.api.post('/apply', { resources: viewOver('user_events', features, path) });
      await home.work('/features/user_events/materialize', { start: '2001-01-01', end: '2001-01-21' });
      const ports = { ours: Number(new URL(home.flight).port), feast: feastPort };
      const task = JSON.stringify({ folder, path, features, days, keys, rows, rounds, ports });
      const program = join(loadConfig().projectRoot, 'bench', 'peers', 'feast_offline.py');
      const { stdout } = await promisify(execFile)(await feastPython(), ['-I', program, task], { maxBuffer: 2 ** 24 });
      return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<'ours' | 'feast', number[]>;
    });
    const [ours, peer] = [median(measured.ours), median(measured.feast)];
    const name = `historical features by Feast’s remote client: ${rows.toLocaleString('en-US')} rows × ${features.length}`;
    return [{ name, unit: 's', ours, peer, beside: 'Feast’s offline server, DuckDB store', judged: peer / ours, target: null }]; // prettier-ignore
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
