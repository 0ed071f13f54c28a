import { DomainError, isDomainError, type ErrorCode } from '../../domain/errors.js';

/** An error on its way out of a worker thread. */
export interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Numbers of `duckdb_error_type` in DuckDB's C API. */
const errorTypes = { io: 28, interrupt: 29 } as const;

/**
 * What DuckDB said, as one of our errors; paths in it are shortened to keys relative to the lake. Whoever interrupted it asks
 * that first: a part of a query that fails interrupts the others, too, and their interruption may be all that DuckDB tells.
 */
export function duckdbError(message: string, type: number, lakeRoot: string): DomainError {
  const detail = message.replaceAll(`${lakeRoot}/`, '').split('\n\n')[0] ?? message;
  if (type === errorTypes.interrupt || /^INTERRUPT Error/.test(message))
    return new DomainError('query_failed', 'DuckDB stopped the query because another part of it failed, and kept no reason. Ask again.'); // prettier-ignore
  if (/^IO Error.*(No files found|No such file|does not exist)/s.test(message))
    return new DomainError('object_missing', detail);
  if (type === errorTypes.io || (damage.test(message) && !ofStatement.test(message)))
    return new DomainError('object_corrupt', detail);
  return new DomainError('query_failed', detail);
}

/** Words of DuckDB's Parquet reader and decompressors when bytes are not what they should be. */
const damage =
  /parquet|thrift|TProtocol|snappy|zstd|lz4|gzip|brotli|decompress|magic bytes|corrupt|truncated|page header/i;

/** Kinds of errors that the statement has, and no file. */
const ofStatement = /^(Binder|Catalog|Parser|Conversion|Out of Memory|Out of Range) Error/;

export const failureOf = (error: unknown): Failure =>
  isDomainError(error)
    ? { code: error.code, detail: error.message, data: error.data }
    : { code: 'internal', detail: error instanceof Error ? error.message : String(error), data: {} };
