import type { OpenAPIObject } from '@nestjs/swagger';
import { openDatabase } from '../../store/db.js';
import { createLogger } from '../log.js';
import { describeApi } from './docs.js';
import { createApi } from './server.js';
import { Temporal } from './temporal.js';

/** The document behind docs/openapi.json: of the real application, whose connections are opened at first use, and never are. */
export async function openApiDocument(): Promise<OpenAPIObject> {
  const nowhere = '127.0.0.1:1';
  const db = openDatabase({ url: `postgresql://${nowhere}/none` });
  const temporal = new Temporal({ address: nowhere, namespace: 'none', taskQueue: 'none', uiUrl: `http://${nowhere}` });
  const settings = { roots: [], artifacts: '', lake: '', retention: '30d' };
  const app = await createApi({ db, temporal, settings, log: createLogger('openapi', 'error') });
  try {
    return describeApi(app);
  } finally {
    await app.close();
    await Promise.all([db.close(), temporal.close()]);
  }
}

/** The text of docs/openapi.json. */
export const generate = async (): Promise<string> => `${JSON.stringify(await openApiDocument(), null, 2)}\n`;
