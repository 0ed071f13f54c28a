import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { loadConfig, projectRoot } from '../../apps/config.js';
import { defaultProject } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { postgresProgram, postgresUrl } from '../../programs/postgres.js';
import { migrate, openDatabase, type Database } from '../../store/db.js';
import { createProject } from '../../store/resources.js';
import { freePort } from '../programs/started.js';
import { sharedServer } from './shared-server.js';

const template = 'eider_template';
const migrations = join(projectRoot, 'store', 'migrations');

export interface TestDatabase {
  readonly db: Database;
  readonly url: string;
  /** Closes the connections and drops the database. */
  readonly close: () => Promise<void>;
}

/** A migrated database of its own with the project `eider`, copied from a template in milliseconds. */
export async function withDatabase(): Promise<TestDatabase> {
  const server = await sharedServer('postgres', async (home) => {
    const port = await freePort();
    const program = postgresProgram({ home, port, cacheDir: loadConfig().cache });
    return { program, address: async () => makeTemplate((await postgresUrl({ home, port })) ?? '') };
  });
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await atServer(server, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  const url = inDatabase(server, name);
  const db = openDatabase({ url, application: 'eider-test' });
  const close = async () => {
    await db.close();
    await atServer(server, `DROP DATABASE ${name} WITH (FORCE)`);
  };
  return { db, url, close };
}

async function makeTemplate(server: string): Promise<string> {
  await atServer(server, `CREATE DATABASE ${template}`);
  const db = openDatabase({ url: inDatabase(server, template) });
  await migrate(db, migrations);
  await createProject(db, defaultProject, anonymous);
  await db.close();
  return server;
}

async function atServer(url: string, statement: string): Promise<void> {
  const db = openDatabase({ url, poolMax: 1 });
  await db.query(statement);
  await db.close();
}

function inDatabase(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
