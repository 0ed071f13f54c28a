import { fileURLToPath } from 'node:url';
import { startFlight, type FlightServer, type FlightSettings } from '../../../apps/flight/server.js';
import type { FlightLimits } from '../../../apps/flight/get.js';
import { createLogger } from '../../../apps/log.js';
import type { PinnedTable } from '../../../domain/tables.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';
import { startPyarrow, type Pyarrow } from './pyarrow.js';

/** A lake, the Flight service on it, and pyarrow connected to that. */
export interface Served {
  readonly lake: TestLake;
  readonly flight: FlightServer;
  readonly pyarrow: Pyarrow;
  readonly million: PinnedTable;
  read(table: PinnedTable, options?: object): Promise<Read>;
  /** Columns of what was read last that differ from pyarrow's own reading of the files. */
  differences(table: PinnedTable): Promise<string[]>;
  stop(): Promise<void>;
}

export interface Read {
  readonly endpoints: number;
  readonly schema: [string, string][];
  readonly rows: number;
  readonly batchRows: number[];
  readonly bytesMax: number;
  readonly misaligned: number;
}

export const millionRows = 1_000_000;
export const pathOf = ({ project, schema, name }: PinnedTable) => [project, schema, name];

export async function startServed(
  limits: Partial<FlightLimits> = {},
  { lake: given, ...settings }: Partial<FlightSettings> & { lake?: TestLake } = {},
): Promise<Served> {
  const lake = given ?? (await createTestLake());
  const flight = await startFlight({
    host: '127.0.0.1',
    port: 0,
    lakeRoot: lake.root,
    protoFolder: fileURLToPath(new URL('../../../proto', import.meta.url)),
    tables: lake.reader,
    log: createLogger('flight', 'error', () => undefined),
    limits,
    ...settings,
  });
  const pyarrow = await startPyarrow(flight.url);
  const million = await lake.add('million', [
    `SELECT range AS a, sqrt(range) AS b, CASE WHEN range % 3 > 0 THEN 'text ' || range END AS c, range % 7 < 3 AS d FROM range(${millionRows})`,
  ]);
  return {
    ...{ lake, flight, pyarrow, million },
    read: (table, options = {}) => pyarrow.ask<Read>('read', { path: pathOf(table), ...options }),
    differences: (table) => pyarrow.ask<string[]>('differences', { files: lake.pathsOf(table) }),
    async stop() {
      await pyarrow.stop();
      await flight.stop(0);
      if (!given) lake.remove();
    },
  };
}
