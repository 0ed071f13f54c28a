import { fileURLToPath } from 'node:url';
import { startFlight, type FlightServer } from '../../../apps/flight/server.js';
import { createLogger } from '../../../apps/log.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';
import type { Asked } from '../asked.js';
import { startAdbc } from './adbc.js';

/** A lake, the Flight service on it, and ADBC connected to that. */
export interface Served {
  readonly lake: TestLake;
  readonly flight: FlightServer;
  readonly adbc: Asked;
  stop(): Promise<void>;
}

export async function startServed(): Promise<Served> {
  const lake = await createTestLake();
  const flight = await startFlight({
    host: '127.0.0.1',
    port: 0,
    lakeRoot: lake.root,
    protoFolder: fileURLToPath(new URL('../../../proto', import.meta.url)),
    tables: lake.reader,
    log: createLogger('flight', 'error', () => undefined),
  });
  const adbc = await startAdbc(flight.url);
  await adbc.ask('connect');
  return {
    ...{ lake, flight, adbc },
    async stop() {
      await adbc.stop();
      await flight.stop(0);
      lake.remove();
    },
  };
}
