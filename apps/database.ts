import { join } from 'node:path';
import { defaultProject } from '../domain/ids.js';
import { migrate, openDatabase, type Database } from '../store/db.js';
import { createProject } from '../store/resources.js';
import { databaseUrl, type Config } from './config.js';

/** The database, brought up to date: whichever process starts first does it, the others wait for its lock. */
export async function connectDatabase(config: Config, application: string, poolMax?: number): Promise<Database> {
  const db = openDatabase({ url: databaseUrl(config), application: `eider-${application}`, poolMax });
  await migrate(db, join(config.projectRoot, 'store/migrations'));
  await createProject(db, defaultProject, { name: 'eider' });
  return db;
}
