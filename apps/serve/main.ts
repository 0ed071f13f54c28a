import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serving } from '../../store/serving.js';
import { loadConfig } from '../config.js';
import { connectDatabase } from '../database.js';
import { onShutdown } from '../lifecycle.js';
import { createLogger } from '../log.js';
import { startServing } from './start.js';

/** Two for what is looked at and held, two for the log, which is what requests wait for. */
const connectionsMax = 4;

const config = loadConfig();
const log = createLogger('serve', config.logLevel);
const manifest = JSON.parse(readFileSync(join(config.projectRoot, 'package.json'), 'utf8')) as { version: string };
try {
  const db = await connectDatabase(config, 'serve', connectionsMax);
  const running = await startServing({
    instance: config.instance,
    host: config.host,
    port: config.ports.inference,
    artifacts: join(config.home, 'artifacts'),
    store: serving(db),
    log,
    version: manifest.version,
  });
  onShutdown(
    async () => {
      await running.stop();
      await db.close();
    },
    { log },
  );
  log.info('listening', { url: running.url, instance: config.instance });
} catch (error) {
  log.error('inference cannot start', { error });
  process.exit(1);
}
