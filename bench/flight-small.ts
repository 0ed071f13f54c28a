import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PinnedTable } from '../domain/tables.js';
import { median, type Figure } from './figure.js';
import { cases, peerPrograms, startServer, ticketKey, ticketOf, ticketsOf, writeTable, type Case } from './flight.js';

const oneRowMs = 3;
const manyToOneMax = 2;
const manyReaders = 50;
const memoryMiBMax = 600;

const points: Case = {
  name: 'points',
  title: 'points',
  rows: 100_000,
  sql: 'SELECT i AS id, i * 0.5 AS amount, i % 97 AS place',
};
const large: Case = { ...cases.mixed, name: 'large', rows: 20_000_000 };

/** One row by a statement of Flight SQL: parsed, checked, pinned, run and sent. Each reader asks twice a second. */
export async function flightSmallBench(): Promise<Figure[]> {
  const measured = await withServer(points, async ({ url, python, program }) => {
    const task = { url, sql: 'SELECT * FROM datasets.points WHERE id = {i} % 100000', every: 0.5, queries: 60, readers: [1, manyReaders] }; // prettier-ignore
    return JSON.parse(await python(program('flight_small.py'), task)) as Record<string, number[]>;
  });
  const at = (latencies: readonly number[], share: number): number => latencies[Math.ceil(latencies.length * share) - 1] ?? NaN; // prettier-ignore
  const [one, many] = [measured['1'] ?? [], measured[String(manyReaders)] ?? []];
  const beside = 'none';
  return [
    { name: 'Flight SQL: one row, p50', unit: 'ms', ours: at(one, 0.5), peer: null, beside, judged: at(one, 0.5), target: { atMost: oneRowMs } }, // prettier-ignore
    {
      ...{
        name: `Flight SQL: one row, ${manyReaders} readers, p99`,
        unit: 'ms',
        ours: at(many, 0.99),
        peer: at(one, 0.99),
      },
      ...{ beside: 'one reader', judged: at(many, 0.99) / at(one, 0.99), target: { atMost: manyToOneMax } },
    },
  ];
}

/** How much memory the server takes at most while a slow client reads 20 M rows. */
export async function flightMemoryBench(): Promise<Figure[]> {
  const peak = await withServer(large, async ({ url, ticket, pid, python, program }) => {
    const rows = await python(program('flight_slow.py'), { url, ticket, pause: 0.02 });
    if (Number(rows) !== large.rows) throw new Error(`The slow reader got ${rows.trim()} rows.`);
    return peakMiB(pid);
  });
  const name = 'Flight: peak memory of the server while a slow client reads 20 M rows';
  return [
    { name, unit: 'MiB', ours: peak, peer: null, beside: 'none', judged: peak, target: { atMost: memoryMiBMax } },
  ];
}

/** A table as one stream beside the same in two endpoints, which two connections read at the same time. */
export async function flightParallelBench(): Promise<Figure[]> {
  const measured = await withServer(cases.numbers, async ({ url, table, python, program, lakeRoot }) => {
    const two = ticketsOf(table, lakeRoot, Math.floor(table.bytes / 2)).map((ticket) => ticket.toString('base64'));
    const one = ticketsOf(table, lakeRoot, Infinity).map((ticket) => ticket.toString('base64'));
    if (two.length !== 2) throw new Error(`The table has ${two.length} endpoints.`);
    const task = { url, rows: table.rows, rounds: 6, sides: { one, two } };
    return JSON.parse(await python(program('flight_parallel.py'), task)) as Record<'one' | 'two', number[]>;
  });
  const [one, two] = [median(measured.one), median(measured.two)];
  const name = 'Flight: 10 M rows of 8 numbers, two endpoints at the same time';
  return [{ name, unit: 's', ours: two, peer: one, beside: 'ours, as one stream', judged: one / two, target: null }];
}

interface Serving {
  readonly table: PinnedTable;
  readonly lakeRoot: string;
  readonly url: string;
  readonly ticket: string;
  readonly pid: number;
  readonly program: (name: string) => string;
  readonly python: (file: string, task: object) => Promise<string>;
}

async function withServer<Result>(one: Case, measure: (serving: Serving) => Promise<Result>): Promise<Result> {
  const { interpreter, program } = await peerPrograms();
  const lakeRoot = mkdtempSync(join(tmpdir(), 'eider-bench-'));
  const table = await writeTable(lakeRoot, one);
  const threads = availableParallelism();
  const { process, url } = await startServer({ lakeRoot, tables: [table], threads, key: ticketKey.toString('base64'), cacheBytes: 0 }); // prettier-ignore
  const python = async (file: string, task: object) =>
    (await promisify(execFile)(interpreter, ['-I', file, JSON.stringify(task)], { maxBuffer: 2 ** 24 })).stdout;
  try {
    const ticket = ticketOf(table, lakeRoot).toString('base64');
    return await measure({ table, lakeRoot, url, ticket, pid: process.pid as number, program, python });
  } finally {
    process.kill();
    rmSync(lakeRoot, { recursive: true, force: true });
  }
}

const peakMiB = (pid: number): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
