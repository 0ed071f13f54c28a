import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { loadConfig } from '../apps/config.js';
import { startFlight } from '../apps/flight/server.js';
import { tableReadable } from '../apps/flight/tables.js';
import { createTickets } from '../apps/flight/ticket.js';
import type { Content } from '../apps/flight/readable.js';
import { createLogger } from '../apps/log.js';
import { defaultProject } from '../domain/ids.js';
import type { PinnedTable, TableReader } from '../domain/tables.js';
import { quoteText } from '../lake/duckdb.js';
import { pythonEnvironment } from '../programs/python.js';
import type { Figure } from './figure.js';

const targetRatio = 0.8;
const roundsDefault = 8;

const cases = [
  {
    name: 'training_set',
    title: 'Flight: 1 M rows of a training set to pyarrow',
    rows: 1_000_000,
    sql: `SELECT i AS flight_id, TIMESTAMP '2001-01-01' + to_seconds(i * 15) AS event_time, (i * 7919 % 4000)::DOUBLE AS distance,
      i % 24 AS hour, i % 7 AS weekday, CASE WHEN i % 11 > 0 THEN (i % 97) / 97.0::DOUBLE END AS origin_late_rate, (i % 60)::INTEGER AS origin_departures,
      CASE WHEN i % 5 > 0 THEN (i % 89) / 89.0::DOUBLE END AS route_late_rate, (i % 9)::INTEGER AS route_count,
      chr((65 + i % 26)::INTEGER) || chr((65 + i * 3 % 26)::INTEGER) || chr((65 + i * 7 % 26)::INTEGER) AS origin, i % 4 = 0 AS late`,
  },
  {
    name: 'numbers',
    title: 'Flight: 10 M rows of 8 numbers to pyarrow',
    rows: 10_000_000,
    sql: `SELECT i AS a, i * 2 AS b, i * 1.5::DOUBLE AS c, i * 2.5::DOUBLE AS d, (i % 1000)::INTEGER AS e, (i % 77)::INTEGER AS f, i * 0.1::DOUBLE AS g, sqrt(i) AS h`,
  },
  {
    name: 'rides',
    title: 'Flight: 5 M rows of six columns, three of them text, to pyarrow',
    rows: 5_000_000,
    // Hopsworks, with sixteen cores, published 2.3 M rows/s of this shape.
    rowsPerSecondMin: 2.3,
    sql: `SELECT i AS row_id, TIMESTAMP '2001-01-01' + to_seconds(i) AS tpep_pickup_datetime, (i * 7919 % 263 + 1)::INTEGER AS pu_location_id,
      'borough-' || (i * 31 % 6) AS pu_borough, 'service-zone-' || (i * 17 % 4) AS pu_svc_zone, 'a zone with a long name ' || (i * 7919 % 260) AS pu_zone`,
  },
] as const;
type Case = (typeof cases)[number];

/** Reading by one pyarrow client, in turns from our service and from pyarrow's own FlightServer over DuckDB. */
export async function flightBench(rounds = roundsDefault): Promise<Figure[]> {
  const { cache, python, projectRoot } = loadConfig();
  const lockFile = join(projectRoot, 'bench', 'peers', 'requirements.lock');
  const interpreter = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'peers', python });
  const program = (name: string) => join(projectRoot, 'bench', 'peers', name);
  const lakeRoot = mkdtempSync(join(tmpdir(), 'eider-bench-'));
  const threads = availableParallelism();
  const tables = await Promise.all(cases.map((one) => writeTable(lakeRoot, one)));
  const peer = await startPeer(interpreter, [program('flight_server.py'), String(threads)]);
  const ours = await startFlight({
    ...{ host: '127.0.0.1', port: 0, lakeRoot, protoFolder: join(projectRoot, 'proto') },
    tables: fixedTables(tables),
    log: createLogger('flight', 'error'),
    reader: { threads },
  });
  try {
    const figures: Figure[] = [];
    for (const [index, table] of tables.entries()) {
      const path = join(lakeRoot, table.files[0]?.key ?? '');
      const sides = {
        ours: { url: ours.url, ticket: ticketOf(table, lakeRoot).toString('base64') },
        peer: { url: peer.url, ticket: Buffer.from(path).toString('base64') },
      };
      const task = JSON.stringify({ sides, rows: table.rows, rounds });
      const { stdout } = await promisify(execFile)(interpreter, ['-I', program('flight_client.py'), task]);
      figures.push(figure(cases[index] as Case, JSON.parse(stdout) as Measured));
    }
    return figures;
  } finally {
    await ours.stop(0);
    peer.process.kill();
    rmSync(lakeRoot, { recursive: true, force: true });
  }
}

type Measured = Record<'ours' | 'peer', { seconds: number[]; bytes: number }>;

/** By the best round, because other work on the machine only ever slows one down. Both count the peer's bytes. */
function figure(one: Case, { ours, peer }: Measured): Figure {
  const { title } = one;
  const speed = (seconds: number[]) => Math.round(peer.bytes / 1e6 / Math.min(...seconds));
  const [our, their] = [speed(ours.seconds), speed(peer.seconds)];
  const beside = 'pyarrow’s FlightServer over DuckDB';
  if ('rowsPerSecondMin' in one) {
    const [mine, peers] = [ours, peer].map(({ seconds }) => one.rows / 1e6 / Math.min(...seconds)) as [number, number];
    const target = { atLeast: one.rowsPerSecondMin };
    return { name: title, unit: 'M rows/s', ours: mine, peer: peers, beside, judged: mine, target };
  }
  return {
    name: title,
    unit: 'MB/s',
    ours: our,
    peer: their,
    beside,
    judged: our / their,
    target: { atLeast: targetRatio },
  };
}

async function startPeer(interpreter: string, args: string[]): Promise<{ process: ChildProcess; url: string }> {
  const child = spawn(interpreter, ['-I', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { process: child, url: `grpc://127.0.0.1:${port}` };
}

async function writeTable(lakeRoot: string, { name, sql, rows }: Case): Promise<PinnedTable> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const key = `${name}.parquet`;
  const file = join(lakeRoot, key);
  await connection.run(`COPY (${sql} FROM range(${rows}) t(i)) TO ${quoteText(file)} (FORMAT parquet)`);
  const described = await connection.runAndReadAll(`DESCRIBE FROM ${quoteText(file)}`);
  const columns = described.getRowObjectsJson().map((row) => ({
    name: String(row['column_name']),
    type: String(row['column_type']),
  }));
  connection.closeSync();
  instance.closeSync();
  const bytes = statSync(file).size;
  const pinned = {
    project: defaultProject,
    schema: 'datasets',
    name,
    revision: 1,
    snapshot: 1,
    rowHash: null,
  } as const;
  return { ...pinned, rows, bytes, columns, files: [{ key, rows, bytes }] };
}

const ticketKey = Buffer.alloc(32, 1);

function ticketOf(table: PinnedTable, lakeRoot: string): Buffer {
  const [content] = tableReadable(table, lakeRoot).contents;
  return createTickets(ticketKey).sign(content as Content, { project: defaultProject, principal: 'anonymous' });
}

function fixedTables(tables: readonly PinnedTable[]): TableReader {
  const find = (name: string) => tables.find((table) => table.name === name) as PinnedTable;
  return {
    list: () => Promise.resolve([...tables]),
    resolve: (_project, _schema, name) => Promise.resolve(find(name)),
    at: (_project, _schema, name) => Promise.resolve(find(name)),
    promise: () => Promise.resolve(),
    lease: () => Promise.resolve({ renew: () => Promise.resolve(), release: () => Promise.resolve() }),
    ticketKey: () => Promise.resolve(ticketKey),
  };
}
