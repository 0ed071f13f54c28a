import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { join } from 'node:path';
import { createApi } from '../../apps/api/server.js';
import { Temporal } from '../../apps/api/temporal.js';
import { createLogger } from '../../apps/log.js';
import type { Database } from '../../store/db.js';
import type { TestTemporal } from './temporal.js';

/** What the API stands on in a test; sources may lie in `<home>/data`. */
export interface ServedOver {
  readonly db: Database;
  readonly temporal: TestTemporal;
  readonly home: string;
}

export interface ServedApi {
  readonly app: NestFastifyApplication;
  readonly url: string;
  readonly temporal: Temporal;
  /** May be called again. */
  close(): Promise<void>;
}

/** The API, listening, on folders of the test’s own. What it logs is kept only when somebody takes it. */
export async function serveApi(
  { db, temporal: server, home }: ServedOver,
  logged?: (line: string) => unknown,
): Promise<ServedApi> {
  const temporal = new Temporal({ ...server, taskQueue: 'eider' });
  const log = createLogger('api', logged ? 'debug' : 'error', logged ?? (() => undefined));
  const [data, artifacts, lake] = ['data', 'artifacts', 'lake'].map((name) => join(home, name)) as [string, string, string]; // prettier-ignore
  const app = await createApi({ db, temporal, settings: { roots: [data], artifacts, lake, retention: '30d' }, log });
  await app.listen(0, '127.0.0.1');
  let closed: Promise<void> | null = null;
  return {
    ...{ app, url: await app.getUrl(), temporal },
    close: () => (closed ??= app.close().then(() => temporal.close())),
  };
}
