import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { joinCatalogue } from '../../store/joins.js';
import { spineTables } from '../../store/spine-tables.js';
import { tables } from '../../store/tables.js';
import { loadConfig } from '../config.js';
import { connectDatabase } from '../database.js';
import { onShutdown } from '../lifecycle.js';
import { createLogger } from '../log.js';
import { openScratch } from './joins/feature.js';
import { startFlight } from './server.js';

/** Calls look up a name or a ticket; streams hold none. */
const connectionsMax = 4;

const config = loadConfig();
const log = createLogger('flight', config.logLevel);
try {
  const db = await connectDatabase(config, 'flight', connectionsMax);
  const threads = config.duckdb.threads ?? availableParallelism();
  const flight = await startFlight({
    host: config.host,
    port: config.ports.flight,
    lakeRoot: join(config.home, 'lake'),
    protoFolder: join(config.projectRoot, 'proto'),
    tables: tables(db),
    log,
    encoded: { folder: join(config.home, 'flight-cache'), bytesMax: config.flightCacheBytes },
    reader: {
      ...{ threads, memoryLimit: config.duckdb.memoryLimit },
      spill: { folder: join(config.home, 'flight-spill'), bytesMax: config.flightStatements.spillBytes },
    },
    ...config.flight,
    statementTimeMs: config.flightStatements.timeMs,
    joins: {
      ...{ catalogue: joinCatalogue(db), spines: spineTables(db), threads },
      scratch: await openScratch(join(config.home, 'tmp')),
    },
  });
  onShutdown(
    async () => {
      await flight.stop();
      await db.close();
    },
    { log },
  );
  log.ready({ url: flight.url });
} catch (error) {
  log.error('Flight cannot start', { error });
  process.exit(1);
}
