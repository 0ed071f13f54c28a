import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Materialized } from '../domain/features.js';
import type { Published } from '../domain/publishing.js';
import { benchEngine, benchFolder, dataFile, say, share } from './data.js';
import { feastMaterialize } from './feast.js';
import type { Figure } from './figure.js';
import { viewOver, withHome } from './home.js';

const rows = Number(process.env['EIDER_BENCH_ROWS'] ?? 10_000_000);
const rowsAKey = 10;
/** Feast gets a part of it, with as many rows a key, and is counted by the row. */
const feastRows = rows / 40;
const days = 20;
const features = Array.from({ length: 10 }, (_, at) => `f${at}`);

/** Ten features of a key, ten times in twenty days. */
const events = (count: number) => `SELECT (i % ${count / rowsAKey})::BIGINT AS user_id,
  TIMESTAMP '2001-01-01' + to_microseconds((i * ${days * 86_400} // ${count}) * 1000000) AS event_time,
  ${features.map((name) => `100 * ${share(name)} AS ${name}`).join(', ')} FROM range(${count}) t(i)`;

const range = { start: '2001-01-01', end: '2001-01-21' };

/** From a Parquet file into both stores: windows that are hashed, synced and committed, then a generation that readers see. */
export async function materializeBench(): Promise<Figure[]> {
  const engine = await benchEngine();
  const file = await dataFile(engine, 'events', events(rows));
  const slice = await dataFile(engine, 'events-slice', events(feastRows));
  engine.close();
  const ours = await withHome('materialize', async (home) => {
    await home.api.post('/apply', { resources: viewOver('user_events', features, file) });
    const began = performance.now();
    const made = await home.work<Materialized>('/features/user_events/materialize', range);
    const middle = performance.now();
    const published = await home.work<Published>('/features/user_events/publish', {});
    const ended = performance.now();
    if (made.rows !== rows || published.rows !== rows / rowsAKey)
      throw new Error(`${made.rows} rows were materialized, ${published.rows} published.`);
    say(`offline ${((middle - began) / 1000).toFixed(1)} s, online ${((ended - middle) / 1000).toFixed(1)} s`);
    return { seconds: (ended - began) / 1000, peakGiB: await home.peakGiB('worker') };
  });
  say('Feast materializes its slice');
  const folder = await mkdtemp(join(benchFolder, 'feast-'));
  const seconds = await feastMaterialize(folder, [{ name: 'events', path: slice, features }]);
  await rm(folder, { recursive: true, force: true });
  const [speed, peer] = [rows / 1000 / ours.seconds, feastRows / 1000 / (seconds['events'] ?? NaN)];
  const name = `materialize ${rows / 1e6} M rows × ${features.length}, ${rows / rowsAKey / 1e6} M keys, to both stores`;
  const beside = `Feast, local engine, SQLite: online only, ${feastRows / 1e6} M rows of the same shape`;
  return [
    { name, unit: 'k rows/s', ours: speed, peer, beside, judged: speed / peer, target: { atLeast: 20 } },
    { name: 'peak memory of the worker meanwhile', unit: 'GiB', ours: ours.peakGiB, peer: null, beside: '', judged: ours.peakGiB, target: { atMost: 4 } },
  ]; // prettier-ignore
}
