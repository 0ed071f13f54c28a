import { join } from 'node:path';
import { loadConfig } from '../apps/config.js';
import { startFlight } from '../apps/flight/server.js';
import { createLogger } from '../apps/log.js';
import type { PinnedTable, TableReader } from '../domain/tables.js';

/** What a Flight process of a bench serves: tables that are a list, without a database. */
export interface ServeTask {
  readonly lakeRoot: string;
  readonly tables: readonly PinnedTable[];
  readonly threads: number;
  /** The key that signs tickets, as base64. */
  readonly key: string;
  readonly cacheBytes: number;
}

const task = JSON.parse(process.argv[2] ?? '') as ServeTask;
const { lakeRoot, tables, threads, cacheBytes } = task;
const flight = await startFlight({
  ...{ host: '127.0.0.1', port: 0, lakeRoot, protoFolder: join(loadConfig().projectRoot, 'proto') },
  tables: fixedTables(),
  log: createLogger('flight', 'warn'),
  reader: { threads },
  encoded: { folder: join(lakeRoot, 'flight-cache'), bytesMax: cacheBytes },
});
process.stdout.write(`${flight.port}\n`);

function fixedTables(): TableReader {
  const find = (name: string) => tables.find((table) => table.name === name) as PinnedTable;
  return {
    list: () => Promise.resolve([...tables]),
    resolve: (_project, _schema, name) => Promise.resolve(find(name)),
    at: (_project, _schema, name) => Promise.resolve(find(name)),
    promise: () => Promise.resolve(),
    lease: () => Promise.resolve({ renew: () => Promise.resolve(), release: () => Promise.resolve() }),
    ticketKey: () => Promise.resolve(Buffer.from(task.key, 'base64')),
  };
}
