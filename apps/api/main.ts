import { join } from 'node:path';
import { armFailpoints } from '../../domain/failpoints.js';
import { loadConfig } from '../config.js';
import { connectDatabase } from '../database.js';
import { onShutdown } from '../lifecycle.js';
import { createLogger } from '../log.js';
import { createApi } from './server.js';
import { Temporal } from './temporal.js';

const config = loadConfig();
armFailpoints(config.failpoints);
const log = createLogger('api', config.logLevel);
try {
  const db = await connectDatabase(config, 'api');
  const temporal = new Temporal(config.temporal);
  const [artifacts, lake] = [join(config.home, 'artifacts'), join(config.home, 'lake')];
  const settings = { roots: config.roots, artifacts, lake, retention: config.retention };
  const app = await createApi({ db, temporal, settings, log });
  onShutdown(
    async () => {
      await app.close();
      await Promise.all([temporal.close(), db.close()]);
    },
    { log },
  );
  await app.listen(config.ports.api, config.host);
  log.ready({ url: `http://${config.host}:${config.ports.api}` });
} catch (error) {
  log.error('the API cannot start', { error });
  process.exit(1);
}
