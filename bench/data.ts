import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../apps/config.js';
import { sha256 } from '../domain/json.js';
import { openEngine, quoteText, type Engine } from '../lake/duckdb.js';
import { pythonEnvironment } from '../programs/python.js';

/** Everything that benches write lies here; `data` is kept from run to run. */
export const benchFolder = join(loadConfig().projectRoot, '.eider', 'bench');
const dataFolder = join(benchFolder, 'data');

export const say = (text: string): void => void process.stderr.write(`  ${text}\n`);

/** A DuckDB as a worker has it. */
export async function benchEngine(): Promise<Engine> {
  await mkdir(join(benchFolder, 'tmp'), { recursive: true });
  await mkdir(dataFolder, { recursive: true });
  const options = { tempDirectory: join(benchFolder, 'tmp'), allowedDirectories: [benchFolder] };
  return openEngine({ threads: availableParallelism(), memoryLimit: '8GB', ...options });
}

/** A Parquet file of what the SELECT yields, which must yield the same each time; made once, whole or not at all. */
export async function dataFile(engine: Engine, name: string, select: string): Promise<string> {
  const file = join(dataFolder, `${name}-${sha256(select).slice(0, 12)}.parquet`);
  if (existsSync(file)) return file;
  say(`making ${name}`);
  const half = `${file}.${process.pid}`;
  await engine.session((session) =>
    session.run(`COPY (${select}) TO ${quoteText(half)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 1000000)`),
  );
  await rename(half, file);
  return file;
}

/** A whole number below `count`, the same on every machine. */
export const below = (count: number, salt: string, of = 'i'): string => `(hash(${of}, '${salt}') % ${count})::BIGINT`;
/** A double from 0 to 1. */
export const share = (salt: string, of = 'i'): string => `(hash(${of}, '${salt}') % 1000003)::DOUBLE / 1000003`;

/** The Python that has Feast, the one that its client's tests use. */
export function feastPython(): Promise<string> {
  const { cache: cacheDir, python, projectRoot } = loadConfig();
  const lockFile = join(projectRoot, 'test', 'clients', 'feast', 'requirements.lock');
  return pythonEnvironment({ cacheDir, lockFile, name: 'feast', python });
}
