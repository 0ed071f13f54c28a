import { join } from 'node:path';
import { createLogger } from '../../apps/log.js';
import { startServing } from '../../apps/serve/start.js';
import { openDatabase } from '../../store/db.js';
import { serving } from '../../store/serving.js';
import type { World } from './world.js';

/** A live inference instance over the world's artifacts; returns how to stop it. */
export async function serveInstance(world: World): Promise<() => Promise<void>> {
  const db = openDatabase({ url: world.databaseUrl, poolMax: 4 });
  const instance = await startServing({
    ...{ instance: 'serve-1', host: '127.0.0.1', port: 0, artifacts: join(world.home, 'artifacts'), version: '0.0.0' },
    store: serving(db),
    log: createLogger('serve', 'error', () => undefined),
  });
  return async () => {
    await instance.stop();
    await db.close();
  };
}
