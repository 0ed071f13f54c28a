import { DomainError, isDomainError, type ErrorCode } from '../../domain/errors.js';
import type { ReadPlan } from './plan.js';

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
  return new DomainError('query_failed', detail, placeIn(message));
}

const excerptCharactersMax = 40;

/** Where DuckDB's caret points; the text is DuckDB's writing of the statement, so lines and columns would say nothing. */
function placeIn(message: string): { readonly near?: string } {
  const [, prefix = '', line = '', indent = ''] = /\n\n(LINE \d+: )(.*)\n( *)\^/.exec(message) ?? [];
  const near = line.slice(indent.length - prefix.length).slice(0, excerptCharactersMax);
  return near === '' ? {} : { near };
}

/** What DuckDB has against a client's statement, or its values, is no failure of ours. */
export function ofPlan({ ofClient }: Pick<ReadPlan, 'ofClient'>, error: unknown): unknown {
  if (!ofClient || !isDomainError(error) || error.code !== 'query_failed') return error;
  if (/^Out of Memory Error/.test(error.message))
    return new DomainError('statement_memory', error.message, {}, { cause: error });
  if (!toMend.test(error.message)) return error;
  const { near } = error.data;
  const place = typeof near === 'string' ? `, near ${JSON.stringify(near)}` : '';
  return new DomainError('statement_invalid', `${error.message}${place}.`, error.data, { cause: error });
}

/** Words of DuckDB's Parquet reader and decompressors when bytes are not what they should be. */
const damage =
  /parquet|thrift|TProtocol|snappy|zstd|lz4|gzip|brotli|decompress|magic bytes|corrupt|truncated|page header/i;

/** Kinds of errors that the statement has, and no file. */
const ofStatement = /^(Binder|Catalog|Parser|Conversion|Out of Memory|Out of Range) Error/;
/** Those that whoever wrote it can mend. */
const toMend = /^(Binder|Catalog|Parser|Conversion|Out of Range|Invalid Input|Mismatch Type|Not implemented) Error/;

export const failureOf = (error: unknown): Failure =>
  isDomainError(error)
    ? { code: error.code, detail: error.message, data: error.data }
    : { code: 'internal', detail: error instanceof Error ? error.message : String(error), data: {} };
