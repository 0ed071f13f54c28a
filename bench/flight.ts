import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { loadConfig } from '../apps/config.js';
import { tableReadable } from '../apps/flight/tables.js';
import { createTickets } from '../apps/flight/ticket.js';
import { defaultProject } from '../domain/ids.js';
import type { PinnedTable } from '../domain/tables.js';
import { quoteText } from '../lake/duckdb.js';
import { pythonEnvironment } from '../programs/python.js';
import { median, type Figure } from './figure.js';
import type { ServeTask } from './flight-serve.js';

const roundsDefault = 8;

export interface Case {
  readonly name: string;
  readonly title: string;
  readonly rows: number;
  /** Over `t(i)`, a range of as many rows. */
  readonly sql: string;
  /** Times the peer's speed; absent: `rowsPerSecondMin` is judged. */
  readonly ratioMin?: number;
  readonly rowsPerSecondMin?: number;
}

export const cases = {
  trainingSet: {
    name: 'training_set',
    title: 'Flight: 1 M rows of a training set to pyarrow',
    rows: 1_000_000,
    ratioMin: 1,
    sql: `SELECT i AS flight_id, TIMESTAMP '2001-01-01' + to_seconds(i * 15) AS event_time, (i * 7919 % 4000)::DOUBLE AS distance,
      i % 24 AS hour, i % 7 AS weekday, CASE WHEN i % 11 > 0 THEN (i % 97) / 97.0::DOUBLE END AS origin_late_rate, (i % 60)::INTEGER AS origin_departures,
      CASE WHEN i % 5 > 0 THEN (i % 89) / 89.0::DOUBLE END AS route_late_rate, (i % 9)::INTEGER AS route_count,
      chr((65 + i % 26)::INTEGER) || chr((65 + i * 3 % 26)::INTEGER) || chr((65 + i * 7 % 26)::INTEGER) AS origin, i % 4 = 0 AS late`,
  },
  numbers: {
    name: 'numbers',
    title: 'Flight: 10 M rows of 8 numbers to pyarrow',
    rows: 10_000_000,
    ratioMin: 1,
    sql: `SELECT i AS a, i * 2 AS b, i * 1.5::DOUBLE AS c, i * 2.5::DOUBLE AS d, (i % 1000)::INTEGER AS e, (i % 77)::INTEGER AS f, i * 0.1::DOUBLE AS g, sqrt(i) AS h`,
  },
  mixed: {
    name: 'mixed',
    title: 'Flight: 10 M rows of 10 mixed columns, two of them text, to pyarrow',
    rows: 10_000_000,
    ratioMin: 1,
    sql: `SELECT i AS id, TIMESTAMP '2001-01-01' + to_seconds(i) AS at, (i * 7919 % 100003)::INTEGER AS place, i * 0.5::DOUBLE AS amount,
      CASE WHEN i % 7 > 0 THEN sqrt(i) END AS score, i % 3 = 0 AS flag, (i % 100)::SMALLINT AS grade, DATE '2001-01-01' + (i % 3650)::INTEGER AS day,
      CASE WHEN i % 13 > 0 THEN 'zone ' || (i * 31 % 260) END AS zone, 'a name with some letters ' || (i % 900 + 100) AS name`,
  },
  rides: {
    name: 'rides',
    title: 'Flight: 5 M rows of six columns, three of them text, to pyarrow',
    rows: 5_000_000,
    // Hopsworks, with sixteen cores, published 2.3 M rows/s of this shape.
    rowsPerSecondMin: 5,
    sql: `SELECT i AS row_id, TIMESTAMP '2001-01-01' + to_seconds(i) AS tpep_pickup_datetime, (i * 7919 % 263 + 1)::INTEGER AS pu_location_id,
      'borough-' || (i * 31 % 6) AS pu_borough, 'service-zone-' || (i * 17 % 4) AS pu_svc_zone, 'a zone with a long name ' || (i * 7919 % 260) AS pu_zone`,
  },
} as const satisfies Record<string, Case>;

/** Reading by one pyarrow client, in turns from our service, which keeps nothing, and from pyarrow's own FlightServer over DuckDB. */
export async function flightBench(rounds = roundsDefault): Promise<Figure[]> {
  const { interpreter, program } = await peerPrograms();
  const lakeRoot = mkdtempSync(join(tmpdir(), 'eider-bench-'));
  const threads = availableParallelism();
  const read: readonly Case[] = Object.values(cases);
  const tables = await Promise.all(read.map((one) => writeTable(lakeRoot, one)));
  const peer = await startPeer(interpreter, [program('flight_server.py'), String(threads)]);
  const ours = await startServer({ lakeRoot, tables, threads, key: ticketKey.toString('base64'), cacheBytes: 0 });
  try {
    const figures: Figure[] = [];
    for (const [index, table] of tables.entries()) {
      const path = join(lakeRoot, table.files[0]?.key ?? '');
      const sides = {
        ours: { url: ours.url, tickets: [ticketOf(table, lakeRoot).toString('base64')] },
        peer: { url: peer.url, tickets: [Buffer.from(path).toString('base64')] },
      };
      const task = JSON.stringify({ sides, rows: table.rows, rounds });
      const { stdout } = await promisify(execFile)(interpreter, ['-I', program('flight_client.py'), task]);
      figures.push(figure(read[index] as Case, JSON.parse(stdout) as Measured));
    }
    return figures;
  } finally {
    ours.process.kill();
    peer.process.kill();
    rmSync(lakeRoot, { recursive: true, force: true });
  }
}

type Measured = Record<'ours' | 'peer', { seconds: number[]; bytes: number }>;

/** Both count the peer's bytes. */
function figure({ title, rows, ratioMin, rowsPerSecondMin }: Case, { ours, peer }: Measured): Figure {
  const beside = 'pyarrow’s FlightServer over DuckDB';
  const per = (amount: number) => (side: { seconds: number[] }) => amount / 1e6 / median(side.seconds);
  if (rowsPerSecondMin !== undefined) {
    const [mine, peers] = [ours, peer].map(per(rows)) as [number, number];
    const target = { atLeast: rowsPerSecondMin };
    return { name: title, unit: 'M rows/s', ours: mine, peer: peers, beside, judged: mine, target };
  }
  const [our, their] = [ours, peer].map(per(peer.bytes)) as [number, number];
  const target = ratioMin === undefined ? null : { atLeast: ratioMin };
  return { name: title, unit: 'MB/s', ours: our, peer: their, beside, judged: our / their, target };
}

export interface Served {
  readonly process: ChildProcess;
  readonly url: string;
}

/** The interpreter that has pyarrow and DuckDB, and where the peers' programs are. */
export async function peerPrograms(): Promise<{ interpreter: string; program: (name: string) => string }> {
  const { cache, python, projectRoot } = loadConfig();
  const lockFile = join(projectRoot, 'bench', 'peers', 'requirements.lock');
  const interpreter = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'peers', python });
  return { interpreter, program: (name) => join(projectRoot, 'bench', 'peers', name) };
}

export const startPeer = (interpreter: string, args: readonly string[]): Promise<Served> =>
  started(interpreter, ['-I', ...args]);

/** Our service in a process of its own. */
export const startServer = (task: ServeTask): Promise<Served> =>
  started(process.execPath, [new URL('./flight-serve.js', import.meta.url).pathname, JSON.stringify(task)]);

/** The program prints the port that it listens on. */
async function started(command: string, args: readonly string[]): Promise<Served> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit').then(([code]) => {
    throw new Error(`${command} ${args[0] ?? ''} ended with ${String(code)} before it listened.`);
  });
  const line = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
  const [port] = await Promise.race([line, gone]);
  gone.catch(() => undefined); // It ends when it is told to.
  return { process: child, url: `grpc://127.0.0.1:${port}` };
}

export async function writeTable(lakeRoot: string, { name, sql, rows }: Case): Promise<PinnedTable> {
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

export const ticketKey = Buffer.alloc(32, 1);

export const ticketOf = (table: PinnedTable, lakeRoot: string): Buffer =>
  ticketsOf(table, lakeRoot, Infinity)[0] as Buffer;

/** One for each endpoint. */
export function ticketsOf(table: PinnedTable, lakeRoot: string, endpointBytes: number): Buffer[] {
  const tickets = createTickets(ticketKey);
  const owner = { project: defaultProject, principal: 'anonymous' };
  return tableReadable(table, { lakeRoot, endpointBytes }).contents.map((content) => tickets.sign(content, owner));
}
