import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Materialized } from '../domain/features.js';
import type { Engine } from '../lake/duckdb.js';
import { benchEngine, benchFolder, dataFile, say, share } from './data.js';
import { feastMaterialize, withFeastServer, type FeastView } from './feast.js';
import { median, type Figure } from './figure.js';
import { viewOver, withHome, type BenchHome } from './home.js';
import { lateFigures } from './late.js';
import { refreshFigures } from './refresh.js';
import { freePort, quantile, runClosedLoop, runLoad, type Latencies } from './serve-load.js';

/** Ours takes the same body as Feast’s. */
const routeOf = (failures: Failures): string =>
  failures === 'none' ? '/api/v1/features/online' : '/get-online-features';
const seconds = 3;
const rounds = 3;
const bodiesCount = 200;

interface Shape {
  readonly name: string;
  readonly keys: number;
  /** Feast writes one row a value: it gets fewer keys of the wide view. */
  readonly feastKeys: number;
  readonly features: readonly string[];
  readonly entities: number;
  readonly perSecond: number;
  readonly p99Ms: number;
}

const named = (count: number) => Array.from({ length: count }, (_, at) => `f${at}`);
const shapes = {
  narrow: { name: 'narrow', keys: 500, feastKeys: 500, features: named(20), entities: 1, perSecond: 200, p99Ms: 3 },
  wide: { name: 'wide', keys: 20_000, feastKeys: 500, features: named(200), entities: 50, perSecond: 50, p99Ms: 20 },
} as const satisfies Record<string, Shape>;

/** Online values over HTTP, by the same questions to our API and to Feast’s own server over SQLite. */
export async function onlineBench(): Promise<Figure[]> {
  const engine = await benchEngine();
  try {
    const ours = await withHome('online', async (home) => {
      for (const shape of Object.values(shapes)) await publish(home, shape, await rowsOf(engine, shape, shape.keys));
      return {
        ...(await measured(home.url)),
        more: [...(await refreshFigures(home, engine)), ...(await lateFigures(home, engine))],
      };
    });
    const theirs = await feastMeasured(engine);
    return [...figures(ours, theirs), ...ours.more];
  } finally {
    engine.close();
  }
}

const rowsOf = (engine: Engine, { name, features }: Shape, keys: number): Promise<string> =>
  dataFile(
    engine,
    `${name}-${keys}`,
    `SELECT i AS user_id, TIMESTAMP '2001-01-01' AS event_time, ${features.map((feature) => `${share(feature)} AS ${feature}`).join(', ')} FROM range(${keys}) t(i)`,
  );

const day = { start: '2001-01-01', end: '2001-01-02' };

async function publish(home: BenchHome, { name, features, keys }: Shape, path: string): Promise<void> {
  await home.api.post('/apply', { resources: viewOver(name, features, path) });
  const { rows } = await home.work<Materialized>(`/features/${name}/materialize`, day);
  if (rows !== keys) throw new Error(`${rows} rows of ${name} were materialized.`);
  await home.work(`/features/${name}/publish`, {});
}

const bodiesOf = ({ name, features, entities }: Shape, keys: number): string[] =>
  Array.from({ length: bodiesCount }, (_, at) =>
    JSON.stringify({
      entities: { user_id: Array.from({ length: entities }, (_unused, one) => (at * 7919 + one * 104_729) % keys) },
      features: features.map((feature) => `${name}:${feature}`),
    }),
  );

interface Measured {
  readonly narrow: readonly number[];
  readonly wide: readonly number[];
  readonly perSecond: number;
}

async function measured(url: string): Promise<Measured> {
  await runClosedLoop({
    url,
    path: routeOf('none'),
    bodies: bodiesOf(shapes.narrow, shapes.narrow.keys),
    connections: 4,
    seconds,
  });
  return {
    narrow: await latencies(url, shapes.narrow, shapes.narrow.keys, shapes.narrow.perSecond),
    wide: await latencies(url, shapes.wide, shapes.wide.keys, shapes.wide.perSecond),
    perSecond: await throughput(url, 'none'),
  };
}

/** Feast’s server ends its worker after a thousand requests, and those under way with it. */
type Failures = 'none' | 'some';
function requireAnswered(failures: Failures, results: readonly { readonly failed: number }[]): void {
  const failed = results.reduce((sum, one) => sum + one.failed, 0);
  if (failed > 0 && failures === 'none') throw new Error(`${failed} requests failed.`);
}

/** p50 and p99 in milliseconds, the median of the rounds. */
async function latencies(
  url: string,
  shape: Shape,
  keys: number,
  perSecond: number,
  failures: Failures = 'none',
): Promise<number[]> {
  const bodies = bodiesOf(shape, keys);
  const load = { url, path: routeOf(failures), bodies, perSecond, seconds };
  await runLoad(load);
  const results: Latencies[] = [];
  for (let round = 0; round < rounds; round++) results.push(await runLoad(load));
  requireAnswered(failures, results);
  return [0.5, 0.99].map((part) => median(results.map(({ sorted }) => quantile(sorted, part))));
}

async function throughput(url: string, failures: Failures): Promise<number> {
  const bodies = bodiesOf(shapes.narrow, shapes.narrow.keys);
  const runs = [];
  for (let round = 0; round < rounds; round++)
    runs.push(await runClosedLoop({ url, path: routeOf(failures), bodies, connections: 16, seconds }));
  requireAnswered(failures, runs);
  return median(runs.map(({ perSecond }) => perSecond));
}

/** What Feast can do here: its latencies are taken at rates that it keeps up with. */
async function feastMeasured(engine: Engine): Promise<Measured> {
  const folder = await mkdtemp(join(benchFolder, 'feast-'));
  try {
    const views: FeastView[] = [];
    for (const { name, features, feastKeys } of Object.values(shapes))
      views.push({ name, features, path: await rowsOf(engine, { ...shapes.wide, name, features }, feastKeys) });
    say('Feast materializes');
    await feastMaterialize(folder, views);
    return await withFeastServer(folder, await freePort(), async (url) => ({
      narrow: await latencies(url, shapes.narrow, shapes.narrow.feastKeys, 20, 'some'),
      wide: await latencies(url, shapes.wide, shapes.wide.feastKeys, 2, 'some'),
      perSecond: await throughput(url, 'some'),
    }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function figures(ours: Measured, theirs: Measured): Figure[] {
  const latency = ({ name, entities, features, perSecond, p99Ms }: Shape, rate: number): Figure[] =>
    (['p50', 'p99'] as const).map((percentile, at) => {
      const [mine, peer] = [ours, theirs].map((one) => one[name as 'narrow' | 'wide'][at] ?? NaN) as [number, number];
      return {
        name: `online: ${entities} × ${features.length} features at ${perSecond} requests/s, ${percentile}`,
        ...{ unit: 'ms', ours: mine, peer, beside: `Feast’s server, SQLite, at ${rate} requests/s`, judged: mine },
        target: percentile === 'p99' ? { atMost: p99Ms } : null,
      };
    });
  return [
    ...latency(shapes.narrow, 20),
    ...latency(shapes.wide, 2),
    {
      ...{ name: 'online: 1 × 20 features, 16 connections', unit: 'requests/s', ours: ours.perSecond, peer: theirs.perSecond },
      ...{ beside: 'Feast’s server, SQLite, one process', judged: ours.perSecond / theirs.perSecond, target: { atLeast: 5 } },
    },
  ]; // prettier-ignore
}
