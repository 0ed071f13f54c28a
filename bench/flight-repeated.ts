import { execFile } from 'node:child_process';
import { linkSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, type Figure } from './figure.js';
import { cases, peerPrograms, startPeer, startServer, ticketKey, ticketOf, writeTable } from './flight.js';

const targetRatio = 2;
const roundsDefault = 6;
/** Every second read leaves as many bytes as were sent. */
const cacheBytes = 20e9;

/**
 * One table read for the first time, for the second, when a file is made of what is sent, and again and again, in turns with
 * pyarrow's own server over DuckDB. First and second reads are of copies of the file that were never read.
 */
export async function flightRepeatedBench(rounds = roundsDefault): Promise<Figure[]> {
  const { interpreter, program } = await peerPrograms();
  const lakeRoot = mkdtempSync(join(tmpdir(), 'eider-bench-'));
  const threads = availableParallelism();
  const table = await writeTable(lakeRoot, cases.numbers);
  const original = join(lakeRoot, table.files[0]?.key ?? '');
  const copies = Array.from({ length: rounds + 2 }, (_, round) => {
    const key = `copy_${round}.parquet`;
    linkSync(original, join(lakeRoot, key));
    return { ...table, name: `copy_${round}`, files: table.files.map((file) => ({ ...file, key })) };
  });
  const peer = await startPeer(interpreter, [program('flight_server.py'), String(threads)]);
  const ours = await startServer({ lakeRoot, tables: [table, ...copies], threads, key: ticketKey.toString('base64'), cacheBytes }); // prettier-ignore
  const base64 = (one: typeof table) => ticketOf(one, lakeRoot).toString('base64');
  try {
    const sides = {
      again: { url: ours.url, tickets: [base64(table)] },
      first: { url: ours.url, tickets: copies.slice(0, rounds + 1).map(base64) },
      // In each round the copy of the round before; the first round only warms up.
      second: { url: ours.url, tickets: [...copies.slice(-1), ...copies.slice(0, rounds)].map(base64) },
      peer: { url: peer.url, tickets: [Buffer.from(original).toString('base64')] },
    };
    const task = JSON.stringify({ sides, rows: table.rows, rounds });
    const { stdout } = await promisify(execFile)(interpreter, ['-I', program('flight_client.py'), task]);
    const measured = JSON.parse(stdout) as Record<keyof typeof sides, { seconds: number[]; bytes: number }>;
    const speed = (side: keyof typeof sides) => measured.peer.bytes / 1e6 / median(measured[side].seconds);
    const figure = (name: string, side: keyof typeof sides, target: Figure['target']): Figure => ({
      ...{ name, unit: 'MB/s', ours: speed(side), peer: speed('peer'), target },
      beside: 'pyarrow’s FlightServer over DuckDB',
      judged: speed(side) / speed('peer'),
    });
    return [
      figure('Flight: 10 M rows read for the first time', 'first', null),
      figure('Flight: the same read for the second time, and kept', 'second', null),
      figure('Flight: the same read again, from what was kept', 'again', { atLeast: targetRatio }),
    ];
  } finally {
    ours.process.kill();
    peer.process.kill();
    rmSync(lakeRoot, { recursive: true, force: true });
  }
}
