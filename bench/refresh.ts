import { Agent } from 'node:http';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { quoteText, type Engine } from '../lake/duckdb.js';
import { benchFolder } from './data.js';
import type { Figure } from './figure.js';
import { viewOver, type BenchHome } from './home.js';
import { post, quantile } from './serve-load.js';

const keys = 2_000;
const asked = 20;
const features = Array.from({ length: 10 }, (_, at) => `f${at}`);
const refreshes = 5;
const readers = 4;
const day = { start: '2001-01-01', end: '2001-01-02' };

interface Answer {
  readonly results: readonly { readonly values: readonly (number | null)[]; readonly statuses: readonly string[] }[];
}

/**
 * Every value of a generation is the number of its refresh, so that an answer with two of them is of two generations. Readers
 * ask all the time while the source changes, is materialized and published again and again.
 */
export async function refreshFigures(home: BenchHome, engine: Engine): Promise<Figure[]> {
  const folder = join(benchFolder, 'refresh');
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'pulse.parquet');
  const refresh = async (mark: number) => {
    const columns = features.map((name) => `${mark}::DOUBLE AS ${name}`).join(', ');
    const rows = `SELECT i AS user_id, TIMESTAMP '2001-01-01' AS event_time, ${columns} FROM range(${keys}) t(i)`;
    await engine.session((session) => session.run(`COPY (${rows}) TO ${quoteText(`${path}.half`)} (FORMAT parquet)`));
    await rename(`${path}.half`, path);
    if (mark === 0) await home.api.post('/apply', { resources: viewOver('pulse', features, path) });
    await home.work('/features/pulse/materialize', day);
    await home.work('/features/pulse/publish', {});
  };
  await refresh(0);
  const seen = { reads: 0, failed: 0, mixed: 0, marks: new Set<number>(), latencies: [] as number[] };
  let refreshing = true;
  const reading = Array.from({ length: readers }, (_, reader) => read(home.url, reader, seen, () => refreshing));
  for (let mark = 1; mark <= refreshes; mark++) await refresh(mark);
  refreshing = false;
  await Promise.all(reading);
  if (seen.marks.size < refreshes) throw new Error(`Only ${seen.marks.size} generations were seen.`);
  const sorted = seen.latencies.sort((a, b) => a - b);
  const during = `during ${refreshes} refreshes, ${seen.reads.toLocaleString('en-US')} reads`;
  const beside = 'Feast 0.64 and later refuse to serve a view meanwhile';
  const none = { unit: 'reads', peer: null, beside, target: { atMost: 0 } };
  return [
    { ...none, name: `refresh under load: failed ${during}`, ours: seen.failed, judged: seen.failed },
    { ...none, name: 'refresh under load: of two generations at once', ours: seen.mixed, judged: seen.mixed },
    { name: 'refresh under load: p99 of reads', unit: 'ms', ours: quantile(sorted, 0.99), peer: null, beside: '', judged: quantile(sorted, 0.99), target: null },
  ]; // prettier-ignore
}

interface Seen {
  reads: number;
  failed: number;
  mixed: number;
  readonly marks: Set<number>;
  readonly latencies: number[];
}

async function read(url: string, reader: number, seen: Seen, more: () => boolean): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let turn = reader; more(); turn += readers) {
    const entities = { user_id: Array.from({ length: asked }, (_, one) => (turn * 31 + one * 97) % keys) };
    const body = JSON.stringify({ entities, features: features.map((name) => `pulse:${name}`) });
    const began = performance.now();
    const { ok, text } = await post(agent, `${url}/get-online-features`, body);
    seen.latencies.push(performance.now() - began);
    seen.reads++;
    const values = ok ? (JSON.parse(text) as Answer).results.slice(1).flatMap((column) => column.values) : [];
    if (!ok || values.length !== asked * features.length || values.some((value) => value === null)) seen.failed++;
    else if (new Set(values).size > 1) seen.mixed++;
    else seen.marks.add(values[0] ?? NaN);
  }
  agent.destroy();
}
