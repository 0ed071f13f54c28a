import { join } from 'node:path';
import { anonymous } from '../../domain/principal.js';
import { defaultProject } from '../../domain/ids.js';
import { migrate, openDatabase } from '../../store/db.js';
import { createProject } from '../../store/resources.js';
import { databaseUrl, loadConfig } from '../config.js';
import { onShutdown } from '../lifecycle.js';
import { createLogger } from '../log.js';
import { createApi } from './server.js';
import { Temporal } from './temporal.js';

const config = loadConfig();
const log = createLogger('api', config.logLevel);
const db = openDatabase({ url: databaseUrl(config), application: 'eider-api' });
await migrate(db, join(config.projectRoot, 'store', 'migrations'));
await createProject(db, defaultProject, anonymous);

const temporal = new Temporal(config.temporal);
const settings = { roots: config.roots, artifacts: join(config.home, 'artifacts') };
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
