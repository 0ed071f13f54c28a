import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Revision, SourceSpec } from '../../domain/resources.js';
import { openEngine, quoteText, type Engine, type Session } from '../../lake/duckdb.js';

export interface TestLake {
  readonly engine: Engine;
  /** The only folder that SQL may read and write. */
  readonly folder: string;
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

/** A Source as the store would give it. */
export const sourceOf = (path: string, spec: Partial<SourceSpec> = {}): Revision<'Source'> => ({
  ...{ kind: 'Source', name: 'rows', revision: 1, hash: 'source', createdAt: '', principal: 'test' },
  spec: { format: 'parquet', path, eventTime: 'at', ...spec },
});
