import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Revision, SourceSpec } from '../../domain/resources.js';
import { loadConfig } from '../../apps/config.js';
import type { SourceAccess } from '../../lake/access.js';
import { extensionFinder } from '../../programs/extensions.js';
import { openEngine, quoteText, type Engine, type Session } from '../../lake/duckdb.js';

export interface TestLake {
  readonly engine: Engine;
  /** The only folder that SQL may read and write. */
  readonly folder: string;
  /** Sources within the folder, and whatever else a test allows. */
  access(more?: Partial<SourceAccess>): SourceAccess;
  /** Writes what the SELECT yields to a file of the folder, its kind by its ending; returns its path. */
  write(name: string, select: string): Promise<string>;
  query<Row extends object>(sql: string): Promise<Row[]>;
  in<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** A real DuckDB over a temporary folder. */
export async function withLake(): Promise<TestLake> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'eider-lake-')));
  const engine = await openEngine({
    ...{ threads: 2, memoryLimit: '1GB', tempDirectory: join(folder, 'tmp') },
    allowedDirectories: [folder],
  });
  return {
    engine,
    folder,
    access: (more = {}) => ({ roots: [folder], connections: {}, imports: importsOf(folder), ...more }),
    async write(name, select) {
      const file = join(folder, name);
      const format = name.endsWith('.csv') ? 'csv' : name.endsWith('.json') ? 'json' : 'parquet';
      await engine.session((session) => session.run(`COPY (${select}) TO ${quoteText(file)} (FORMAT ${format})`));
      return file;
    },
    query: (sql) => engine.session((session) => session.rows(sql)),
    in: (work) => engine.session(work),
    async close() {
      engine.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const noS3 = { endpoint: null, region: 'us-east-1', accessKeyId: null, secretAccessKey: null, sessionToken: null };

/** Copies sources by way of real extensions, which are fetched into the cache once. */
export function importsOf(scratch: string): NonNullable<SourceAccess['imports']> {
  const { cache, python } = loadConfig();
  const extension = extensionFinder({ folder: null, cacheDir: cache, python });
  return { scratch, extension, s3: noS3, threads: 2, memoryLimit: '1GB' };
}

/** A Source as the store would give it. */
export const sourceOf = (path: string, spec: Partial<SourceSpec> = {}): Revision<'Source'> => ({
  ...{ kind: 'Source', name: 'rows', revision: 1, hash: 'source', createdAt: '', principal: 'test' },
  spec: { format: 'parquet', path, eventTime: 'at', ...spec },
});
