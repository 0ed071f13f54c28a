import { DomainError, isDomainError, type ErrorCode } from '../../domain/errors.js';

/** An error on its way out of a worker thread. */
export interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Numbers of `duckdb_error_type` in DuckDB's C API. */
const errorTypes = { io: 28, interrupt: 29 } as const;

/** What DuckDB said, as one of our errors; paths in it are shortened to keys relative to the lake. */
export function duckdbError(message: string, type: number, lakeRoot: string): DomainError {
  const detail = message.replaceAll(`${lakeRoot}/`, '').split('\n\n')[0] ?? message;
  if (type === errorTypes.interrupt || /^INTERRUPT Error/.test(message))
    return new DomainError('cancelled', 'The read was interrupted.');
  if (/No files found|No such file|does not exist/.test(message)) return new DomainError('object_missing', detail);
  if (type === errorTypes.io || damage.test(message)) return new DomainError('object_corrupt', detail);
  return new DomainError('query_failed', detail);
}

/** Words of DuckDB's Parquet reader and decompressors when bytes are not what they should be. */
const damage =
  /parquet|thrift|TProtocol|snappy|zstd|lz4|gzip|brotli|decompress|magic bytes|corrupt|truncated|page header/i;

export const failureOf = (error: unknown): Failure =>
  isDomainError(error)
    ? { code: error.code, detail: error.message, data: error.data }
    : { code: 'internal', detail: error instanceof Error ? error.message : String(error), data: {} };
