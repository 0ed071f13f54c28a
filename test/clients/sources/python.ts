import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig, projectRoot } from '../../../apps/config.js';
import type { S3Access } from '../../../lake/access.js';
import { pythonEnvironment } from '../../../programs/python.js';

const folder = join(projectRoot, 'test', 'clients', 'sources');

/** The Python that has writers of Delta and Iceberg, and an S3 server; built once into the cache. */
export const sourcesPython = (): Promise<string> =>
  pythonEnvironment({ cacheDir: loadConfig().cache, name: 'sources', lockFile: join(folder, 'requirements.lock') });

export interface WrittenTable {
  readonly format: 'delta' | 'iceberg';
  readonly folder: string;
  /** Rows with the values `[first, end)`, one an hour from 2001 on. */
  readonly first: number;
  readonly end: number;
  readonly mode: 'append' | 'overwrite';
  /** For a folder in S3. */
  readonly s3?: S3Access;
}

export async function writeTable(python: string, { format, folder: table, first, end, mode, s3 }: WrittenTable) {
  const access = s3 && {
    ...{ S3_ENDPOINT: s3.endpoint ?? '', S3_REGION: s3.region },
    ...{ S3_ACCESS_KEY_ID: s3.accessKeyId ?? '', S3_SECRET_ACCESS_KEY: s3.secretAccessKey ?? '' },
  };
  const env = { ...process.env, ...access };
  await promisify(execFile)(python, [join(folder, 'tables.py'), format, table, String(first), String(end), mode], { env }); // prettier-ignore
}
