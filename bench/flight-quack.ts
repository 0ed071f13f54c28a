import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, type Figure } from './figure.js';
import { cases, peerPrograms, startPeer, startServer, ticketKey, ticketOf, writeTable, type Case } from './flight.js';

const rounds = 4;

/** The same tables over DuckDB's own remote protocol, read by DuckDB into Arrow, in turns with ours, read by pyarrow. */
export async function flightQuackBench(): Promise<Figure[]> {
  const { interpreter, program } = await peerPrograms();
  const lakeRoot = mkdtempSync(join(tmpdir(), 'eider-bench-'));
  const threads = availableParallelism();
  const figures: Figure[] = [];
  try {
    for (const one of [cases.numbers, cases.mixed] satisfies Case[]) {
      const table = await writeTable(lakeRoot, one);
      const path = join(lakeRoot, table.files[0]?.key ?? '');
      const ours = await startServer({ lakeRoot, tables: [table], threads, key: ticketKey.toString('base64'), cacheBytes: 0 }); // prettier-ignore
      const peer = await startPeer(interpreter, [program('quack_server.py'), String(threads), path]);
      try {
        const sides = {
          ours: { url: ours.url, tickets: [ticketOf(table, lakeRoot).toString('base64')] },
          peer: { quack: Number(new URL(peer.url).port) },
        };
        const task = JSON.stringify({ sides, rows: table.rows, rounds });
        const { stdout } = await promisify(execFile)(interpreter, ['-I', program('flight_client.py'), task]);
        const measured = JSON.parse(stdout) as Record<keyof typeof sides, { seconds: number[]; bytes: number }>;
        const [mine, theirs] = [measured.ours, measured.peer].map(
          ({ seconds }) => measured.ours.bytes / 1e6 / median(seconds),
        ) as [number, number];
        figures.push({
          ...{ name: `${one.title}, beside Quack`, unit: 'MB/s', ours: mine, peer: theirs, target: null },
          ...{ beside: 'DuckDB’s Quack, read by DuckDB', judged: mine / theirs },
        });
      } finally {
        ours.process.kill();
        peer.process.kill();
      }
    }
  } finally {
    rmSync(lakeRoot, { recursive: true, force: true });
  }
  return figures;
}
