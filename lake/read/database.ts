import { DomainError } from '../../domain/errors.js';
import { quoteText } from '../quoting.js';
import { openSpill, type Spill } from './spill.js';
import { holdHandle, holdResult, library, pointerAt, setPointer, type Pointer } from './library.js';

export interface DatabaseOptions {
  /** Absolute; nothing outside of it can be read. */
  readonly lakeRoot: string;
  /** Another folder that can be read. */
  readonly scratch?: string | undefined;
  readonly threads: number;
  /** DuckDB's own notation, e.g. `8GB`; null is DuckDB's default, 80 % of the memory. */
  readonly memoryLimit: string | null;
  /** Absent: what does not fit into the memory is an error. */
  readonly spill?: Spill | undefined;
}

/** One DuckDB in memory for the process, which every worker thread uses by the addresses of its connections. */
export interface ReadDatabase {
  connect(): Pointer;
  /** Only while the connection is open; a query that has not begun yet does not notice. */
  interrupt(connection: Pointer): void;
  disconnect(connection: Pointer): void;
  close(): void;
}

/**
 * What producing threads may have ready beyond the consumer. DuckDB's default of 1 MB stalls them on wide rows; with 16 MB
 * the first batch comes late and the copying finds its data no longer in the cache (measured: 30 % slower than with 4 MB).
 */
const streamingBuffer = '4MB';

export function openReadDatabase(options: DatabaseOptions): ReadDatabase {
  const duckdb = library();
  const database = openDatabase(options.threads, options.memoryLimit);
  const connect = (): Pointer => {
    const connection = holdHandle();
    if (duckdb.connect(pointerAt(database), connection.address) !== 0)
      throw new DomainError('query_failed', 'DuckDB refused a connection.');
    run(pointerAt(connection), `SET streaming_buffer_size = '${streamingBuffer}'`);
    return pointerAt(connection);
  };
  const disconnect = (connection: Pointer): void => {
    const handle = holdHandle();
    setPointer(handle, connection);
    duckdb.disconnect(handle.address);
  };
  const close = () => duckdb.close(database.address);
  const setup = connect();
  try {
    const folders = [options.lakeRoot, ...(options.scratch === undefined ? [] : [options.scratch])];
    for (const statement of [...spilling(options.spill), ...lockdown(folders)]) run(setup, statement);
  } catch (error) {
    disconnect(setup);
    close();
    throw error;
  }
  disconnect(setup);
  return { connect, interrupt: (connection) => void duckdb.interrupt(connection), disconnect, close };
}

/** DuckDB can read its own temporary folder, so there is nothing else in it. */
const spilling = (spill: Spill | undefined): string[] =>
  spill === undefined || spill.bytesMax === 0
    ? ["SET GLOBAL temp_directory = ''"]
    : [
        `SET GLOBAL temp_directory = ${quoteText(openSpill(spill))}`,
        `SET GLOBAL max_temp_directory_size = '${spill.bytesMax}B'`,
      ];

/** The order matters: after the last one nothing can be changed any more. */
const lockdown = (folders: readonly string[]): string[] => [
  "SET GLOBAL TimeZone = 'UTC'",
  'SET GLOBAL preserve_insertion_order = true',
  'SET GLOBAL parquet_metadata_cache = true',
  'SET GLOBAL autoinstall_known_extensions = false',
  'SET GLOBAL autoload_known_extensions = false',
  'SET GLOBAL allow_community_extensions = false',
  'SET GLOBAL allow_persistent_secrets = false',
  `SET GLOBAL allowed_directories = [${folders.map((folder) => quoteText(`${folder}/`)).join(', ')}]`,
  'SET GLOBAL enable_external_access = false',
  "SET GLOBAL allowed_configs = ['streaming_buffer_size']",
  'SET GLOBAL lock_configuration = true',
];

function openDatabase(threads: number, memoryLimit: string | null) {
  const duckdb = library();
  const config = holdHandle();
  const database = holdHandle();
  const error = holdHandle();
  duckdb.createConfig(config.address);
  try {
    const settings = { threads: String(threads), ...(memoryLimit === null ? {} : { memory_limit: memoryLimit }) };
    for (const [name, value] of Object.entries(settings))
      if (duckdb.setConfig(pointerAt(config), name, value) !== 0)
        throw new DomainError('config_invalid', `DuckDB does not accept ${value} for ${name}.`, { name, value });
    if (duckdb.openExt(':memory:', database.address, pointerAt(config), error.address) !== 0) {
      duckdb.free(pointerAt(error));
      throw new DomainError('query_failed', 'DuckDB could not open a database in memory.');
    }
  } finally {
    duckdb.destroyConfig(config.address);
  }
  return database;
}

function run(connection: Pointer, sql: string): void {
  const duckdb = library();
  const result = holdResult();
  const failed = duckdb.query(connection, sql, result.address) !== 0;
  const message = failed ? duckdb.resultError(result.address) : null;
  duckdb.destroyResult(result.address);
  if (failed) throw new DomainError('query_failed', message ?? 'DuckDB gave no reason.', { sql });
}
