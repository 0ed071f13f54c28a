import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../apps/config.js';
import { durationMicros } from '../domain/instants.js';
import { quoteText, type Engine } from '../lake/duckdb.js';
import { pointInTimeJoin, type JoinView } from '../lake/point-in-time.js';
import { below, benchEngine, benchFolder, dataFile, feastPython, say, share } from './data.js';
import { median, type Figure } from './figure.js';

const spineRows = Number(process.env['EIDER_BENCH_ROWS'] ?? 10_000_000);
const days = 90;
const zones = 263;
const boroughs = 7;
const rounds = 3;

/**
 * Point-in-time joins. A day's taxi rides: a spine of rides, and aggregates by pickup zone, by drop-off zone and by borough, as
 * in the field's published comparison; once as they are and once with a known-at and corrections. Then the size of the flights
 * and their weather beside Feast's DuckDB store, which joins with the same DuckDB.
 */
export async function pointInTimeBench(): Promise<Figure[]> {
  const engine = await benchEngine();
  try {
    return [...(await ridesFigures(engine)), ...(await feastFigures(engine))];
  } finally {
    engine.close();
  }
}

const micros = (text: string) => durationMicros(text);

/** Aggregates of `every` for each of `count` keys, over all the days; features are one whole number and two doubles. */
const aggregates = (key: string, count: number, every: string) => {
  const steps = (days * micros('1d')) / micros(every);
  return `SELECT (i % ${count} + 1)::INTEGER AS ${key}, TIMESTAMP '2001-01-01' + to_microseconds((i // ${count}) * ${micros(every)}) AS event_time,
    ${below(500, key)}::INTEGER AS rides, 60 * ${share(`${key} fare`)} AS fare, 20 * ${share(`${key} distance`)} AS distance FROM range(${steps * count}) t(i)`;
};

/** Known up to three days later; of every twentieth row a correction comes another day after. */
const corrected = (relation: string, key: string) => {
  const lag = `to_microseconds(${below(3 * 86_400_000_000, 'lag', `(${key}, event_time)`)})`;
  return `SELECT *, event_time + ${lag} AS known_at FROM ${relation}
    UNION ALL SELECT * REPLACE (fare * 1.1 AS fare), event_time + ${lag} + INTERVAL 1 DAY FROM ${relation} WHERE hash(${key}, event_time, 'corrected') % 20 = 0`;
};

const tables = [
  { name: 'pickup', key: 'pickup_zone', count: zones, every: '15m' },
  { name: 'dropoff', key: 'dropoff_zone', count: zones, every: '30m' },
  { name: 'borough', key: 'borough', count: boroughs, every: '1h' },
] as const;

async function ridesFigures(engine: Engine): Promise<Figure[]> {
  const spine = await dataFile(
    engine,
    'rides',
    `SELECT i AS ride, TIMESTAMP '2001-01-02' + to_microseconds(${below((days - 1) * 86_400_000_000, 'asked')}) AS asked, ${below(zones, 'pickup')}::INTEGER + 1 AS pickup_zone,
       ${below(zones, 'dropoff')}::INTEGER + 1 AS dropoff_zone, ${below(boroughs, 'borough')}::INTEGER + 1 AS borough, 80 * ${share('paid')} AS paid FROM range(${spineRows}) t(i)`,
  );
  const plain: JoinView[] = [];
  const bitemporal: JoinView[] = [];
  for (const { name, key, count, every } of tables) {
    const file = await dataFile(engine, name, aggregates(key, count, every));
    const later = await dataFile(engine, `${name}-corrected`, corrected(`read_parquet(${quoteText(file)})`, key));
    const view = viewOf(name, [{ column: key, type: 'INTEGER' }], ['rides', 'fare', 'distance'], '1d');
    plain.push({ ...view, relation: `read_parquet(${quoteText(file)})`, knownAt: null, distinct: true });
    bitemporal.push({ ...view, relation: `read_parquet(${quoteText(later)})`, knownAt: 'known_at', distinct: false });
  }
  const folder = await mkdtemp(join(benchFolder, 'joined-'));
  const speeds = { plain: [] as number[], bitemporal: [] as number[] };
  try {
    for (let round = 1; round <= rounds; round++)
      for (const [name, views] of [
        ['plain', plain],
        ['bitemporal', bitemporal],
      ] as const)
        // prettier-ignore
        speeds[name].push(await speedOf(engine, spine, views, join(folder, `${name}.parquet`)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const [ours, later] = [median(speeds.plain), median(speeds.bitemporal)];
  const rows = `${spineRows.toLocaleString('en-US')} rows, three views, to Parquet`;
  const beside = 'published for Hopsworks on 16 cores, not measured here';
  return [
    { name: `point-in-time join: ${rows}`, unit: 'M rows/s', ours, peer: 0.38, beside, judged: ours, target: { atLeast: 0.4 } },
    { name: `the same, bitemporal with corrections`, unit: 'M rows/s', ours: later, peer: ours, beside: 'ours without known-at', judged: later / ours, target: { atLeast: 0.8 } },
  ]; // prettier-ignore
}

function viewOf(
  name: string,
  keys: readonly { readonly column: string; readonly type: string }[],
  features: readonly string[],
  ttl: string,
): Omit<JoinView, 'relation' | 'knownAt' | 'distinct'> {
  return {
    ...{ name, eventTime: 'event_time', ttlMicros: micros(ttl), mode: 'known_at', content: features },
    keys: keys.map((key) => ({ ...key, spine: key.column })),
    features: features.map((column) => ({ column, as: `${name}__${column}` })),
  };
}

/** Millions of spine rows a second, from Parquet to Parquet. */
async function speedOf(engine: Engine, spine: string, views: readonly JoinView[], file: string): Promise<number> {
  const relation = pointInTimeJoin(`read_parquet(${quoteText(spine)})`, 'asked', views);
  const began = performance.now();
  await engine.session((session) =>
    session.run(`COPY (SELECT * FROM ${relation}) TO ${quoteText(file)} (FORMAT parquet)`),
  );
  const seconds = (performance.now() - began) / 1000;
  const [row] = await engine.session((session) => session.rows<{ rows: number }>(`SELECT count(*)::INTEGER AS rows FROM read_parquet(${quoteText(file)})`)); // prettier-ignore
  if (row?.rows !== spineRows) throw new Error(`The join has ${row?.rows} rows.`);
  say(
    `${views[0]?.knownAt ? 'bitemporal' : 'plain'}: ${seconds.toFixed(1)} s, ${((await stat(file)).size / 1e6).toFixed(0)} MB`,
  );
  return spineRows / 1e6 / seconds;
}

const weatherFeatures = ['temp', 'dewp', 'humid', 'wind_dir', 'wind_speed', 'precip', 'visib'] as const;
const [flights, hours, origins] = [336_776, 8_705, 3] as const;

/** As many flights and hours of weather as in nycflights13; both run in one Python and end with a pyarrow table. */
async function feastFigures(engine: Engine): Promise<Figure[]> {
  const weather = await dataFile(
    engine,
    'weather',
    `SELECT ['EWR', 'JFK', 'LGA'][i % ${origins} + 1] AS origin, TIMESTAMP '2013-01-01' + to_hours((i // ${origins})::INTEGER) AS event_time,
       ${weatherFeatures.map((name) => `100 * ${share(name)} AS ${name}`).join(', ')} FROM range(${origins * hours}) t(i)`,
  );
  const spine = await dataFile(
    engine,
    'flights',
    `SELECT i AS flight, ['EWR', 'JFK', 'LGA'][${below(origins, 'origin')} + 1] AS origin, TIMESTAMP '2013-01-01' + to_seconds(${below(hours * 3600, 'time')}) AS event_timestamp FROM range(${flights}) t(i)`,
  );
  const view: JoinView = {
    ...viewOf('weather', [{ column: 'origin', type: 'VARCHAR' }], weatherFeatures, '1d'),
    ...{ relation: `read_parquet(${quoteText(weather)})`, knownAt: null, distinct: true },
  };
  const sql = `SELECT * FROM ${pointInTimeJoin(`read_parquet(${quoteText(spine)})`, 'event_timestamp', [view])}`;
  say('preparing Feast');
  const program = join(loadConfig().projectRoot, 'bench', 'peers', 'feast_join.py');
  const folder = await mkdtemp(join(benchFolder, 'feast-'));
  const task = JSON.stringify({ folder, sql, spine, weather, features: weatherFeatures, rounds });
  const { stdout } = await promisify(execFile)(await feastPython(), ['-I', program, task], { maxBuffer: 2 ** 24 });
  await rm(folder, { recursive: true, force: true });
  const measured = JSON.parse(stdout.split('\n').at(-2) ?? '') as { ours: number[]; feast: number[] };
  const [ours, peer] = [median(measured.ours), median(measured.feast)];
  const name = `point-in-time join: ${flights.toLocaleString('en-US')} rows × ${weatherFeatures.length}, to Arrow`;
  return [{ name, unit: 's', ours, peer, beside: 'Feast, DuckDB store, same process', judged: peer / ours, target: { atLeast: 15 } }]; // prettier-ignore
}
