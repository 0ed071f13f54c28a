import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../store/db.js';
import { serving } from '../../store/serving.js';
import { databaseUrl, loadConfig } from '../config.js';
import { onShutdown } from '../lifecycle.js';
import { createLogger } from '../log.js';
import { startServing } from './start.js';

/** Two for what is looked at and held, two for the log, which is what requests wait for. */
const connectionsMax = 4;

const config = loadConfig();
const log = createLogger('serve', config.logLevel);
const manifest = JSON.parse(readFileSync(join(config.projectRoot, 'package.json'), 'utf8')) as { version: string };
try {
  const db = openDatabase({ url: databaseUrl(config), poolMax: connectionsMax, application: 'eider-serve' });
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
