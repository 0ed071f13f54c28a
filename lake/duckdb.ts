import { DuckDBInstance, type DuckDBConnection, type DuckDBResult, type DuckDBValue } from '@duckdb/node-api';
import { DomainError } from '../domain/errors.js';
import { quoteText } from './quoting.js';

export { quoteName, quoteText } from './quoting.js';

export interface EngineOptions {
  readonly threads: number;
  /** DuckDB's own notation, e.g. `8GB`. */
  readonly memoryLimit: string;
  readonly tempDirectory: string;
  /** The folders that SQL may read and write; everything else, and the network, is out of reach. */
  readonly allowedDirectories: readonly string[];
}

/** One DuckDB in memory for a process. A session is one connection: one statement at a time, temporary tables of its own. */
export interface Engine {
  session<Result>(work: (session: Session) => Promise<Result>, signal?: AbortSignal): Promise<Result>;
  close(): void;
}

export interface Session {
  readonly connection: DuckDBConnection;
  /** Aborts with the work that the session is for. */
  readonly signal: AbortSignal | undefined;
  /** Done when the session ends, whatever comes of it; the last one first. */
  atEnd(cleanUp: () => Promise<void>): void;
  /** Runs to the end; an error of DuckDB is a `query_failed` with its sentence. */
  run(sql: string, values?: Record<string, DuckDBValue>): Promise<void>;
  /** The result, chunk by chunk. It was read whole before: an error cannot hide behind a short stream. */
  chunks(sql: string): Promise<DuckDBResult>;
  /** All rows as JSON: BIGINT and wider are strings there, so cast in SQL what must be a number. */
  rows<Row extends object>(sql: string, values?: Record<string, DuckDBValue>): Promise<Row[]>;
}

/** An instant as a DuckDB TIMESTAMP literal. */
export const timestamp = (at: string): string => `TIMESTAMP ${quoteText(at.replace('T', ' ').replace(/Z$/, ''))}`;
/**
 * The value as the declared type. Text as TIMESTAMP or DATE would lose the offset of `2001-07-01T00:00:00+02:00`, two hours or a
 * day off; text without one is UTC. What type the value has is known when the query is bound, so nothing is left of the choice.
 */
export function typed(value: string, type: string, cast: 'CAST' | 'TRY_CAST' = 'CAST'): string {
  const plain = `${cast}(${value} AS ${type})`;
  if (type !== 'TIMESTAMP' && type !== 'DATE') return plain;
  const text = `${cast}(trim(${value}::VARCHAR) AS TIMESTAMP WITH TIME ZONE) AT TIME ZONE 'UTC'`;
  return `CASE typeof(${value}) WHEN 'VARCHAR' THEN (${text})::${type} ELSE ${plain} END`;
}
export const interval = (micros: number): string => `to_microseconds(${Math.trunc(micros)})`;

export async function openEngine(options: EngineOptions): Promise<Engine> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.threads),
    memory_limit: options.memoryLimit,
  });
  const setup = await instance.connect();
  const directories = options.allowedDirectories.map((folder) =>
    quoteText(folder.endsWith('/') ? folder : `${folder}/`),
  );
  for (const statement of [
    `SET temp_directory = ${quoteText(options.tempDirectory)}`,
    "SET GLOBAL TimeZone = 'UTC'",
    'SET autoinstall_known_extensions = false',
    'SET autoload_known_extensions = false',
    'SET allow_community_extensions = false',
    `SET allowed_directories = [${directories.join(', ')}]`,
    'SET enable_external_access = false',
    'SET lock_configuration = true',
  ])
    await setup.run(statement);
  setup.closeSync();

  return {
    session: (work, signal) => openSession(instance, signal, work),
    close: () => instance.closeSync(),
  };
}

/** One connection for the work, closed behind it. */
export async function openSession<Result>(
  instance: DuckDBInstance,
  signal: AbortSignal | undefined,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const connection = await instance.connect();
  const interrupt = () => connection.interrupt();
  const cleanUps: (() => Promise<void>)[] = [];
  signal?.addEventListener('abort', interrupt);
  try {
    if (signal?.aborted) throw new DomainError('cancelled', 'Cancelled before it began.');
    return await work(sessionOf(connection, cleanUps, signal));
  } finally {
    signal?.removeEventListener('abort', interrupt);
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
    connection.closeSync();
  }
}

function sessionOf(
  connection: DuckDBConnection,
  cleanUps: (() => Promise<void>)[],
  signal: AbortSignal | undefined,
): Session {
  const guarded = async <Result>(sql: string, work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted) throw new DomainError('cancelled', 'The query was interrupted.', {}, { cause: error });
      throw new DomainError('query_failed', firstLine(error), { sql: sql.slice(0, 2000) }, { cause: error });
    }
  };
  return {
    connection,
    signal,
    atEnd: (cleanUp) => void cleanUps.push(cleanUp),
    run: (sql, values) => guarded(sql, async () => void (await connection.run(sql, values))),
    chunks: (sql) => guarded(sql, () => connection.run(sql)),
    rows: <Row extends object>(sql: string, values?: Record<string, DuckDBValue>) =>
      guarded(sql, async () => (await connection.runAndReadAll(sql, values)).getRowObjectsJson() as unknown as Row[]),
  };
}

/** By its shape, not its class: an error of the binding may come from another realm. */
const firstLine = (error: unknown): string =>
  String((error as { message?: unknown }).message ?? error).split('\n\n')[0] ?? 'unknown';
