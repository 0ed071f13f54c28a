import { randomUUID } from 'node:crypto';
import type { Column, PlannedWindow, StagedWindow } from '../domain/features.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { failpoint } from '../domain/failpoints.js';
import { quoteName, quoteText, timestamp, type Session } from './duckdb.js';
import type { Objects } from './objects.js';
import { hashPrefix } from './rows.js';

export interface WindowWriter {
  readonly session: Session;
  readonly objects: Objects;
  /** A temporary table or relation that holds the window's rows. */
  readonly relation: string;
  readonly columns: readonly Column[];
  readonly orderBy: readonly string[];
  /** The folder of the table, e.g. `eider/features/origin_hour@r1`. */
  readonly folder: string;
  /** How many of the first columns are hashed by themselves too. */
  readonly prefix?: number;
}

/**
 * Stages one Parquet file under a name that no attempt shares, re-opens it, counts and hashes what was really written, and
 * syncs it. Nothing sees the file before a commit names it; an attempt that loses leaves it behind for garbage collection.
 */
export async function writeFile(
  writer: WindowWriter,
  where: string,
  label: string,
): Promise<{ key: string; rows: number; bytes: number; sha256: string; rowHash: string; prefixHash: string | null }> {
  const { session, objects, relation, columns, orderBy, folder, prefix = 0 } = writer;
  const key = `${folder}/${label}/${randomUUID()}.parquet`;
  const path = await objects.stage(key);
  const order = orderBy.length > 0 ? ` ORDER BY ${orderBy.map(quoteName).join(', ')}` : '';
  try {
    await session.run(
      `COPY (SELECT ${columns.map(({ name }) => quoteName(name)).join(', ')} FROM ${relation}${where}${order}) TO ${quoteText(path)} (FORMAT parquet)`,
    );
    await failpoint('materialize.staged');
    // DuckDB hashes the rows while the disk takes the file.
    const [hashed, sealed] = await Promise.all([
      hashPrefix(session, `read_parquet(${quoteText(path)})`, columns, prefix),
      objects.seal(key),
    ]);
    await failpoint('materialize.sealed');
    return { key, ...hashed, ...sealed };
  } catch (error) {
    await objects.remove(key);
    throw asWriteFailure(error, key);
  }
}

const fullCodes = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO']);

/** What DuckDB or the file system says of a disk that takes no more is an error that may pass by itself; any other is left. */
export function asWriteFailure(error: unknown, what: string): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const byDuckDb = isDomainError(error) && error.code === 'query_failed' && /IO Error|No space left|could not write|failed to offload/i.test(error.message); // prettier-ignore
  if (!byDuckDb && !fullCodes.has(code ?? '')) return error;
  return new DomainError('lake_write_failed', `${what}: ${message}`, { what }, { cause: error });
}

/** One window of a relation that may hold many: `[start, end)` of its event time. */
export async function writeWindow(
  writer: WindowWriter,
  eventTime: string,
  window: PlannedWindow,
): Promise<StagedWindow> {
  const began = performance.now();
  const column = quoteName(eventTime);
  const where = ` WHERE ${column} >= ${timestamp(window.start)} AND ${column} < ${timestamp(window.end)}`;
  const {
    rowHash,
    prefixHash: _,
    ...file
  } = await writeFile(writer, where, window.start.slice(0, 19).replaceAll(':', ''));
  const { start, end, sourceFingerprint } = window;
  return {
    start,
    end,
    sourceFingerprint,
    rows: file.rows,
    bytes: file.bytes,
    rowHash,
    files: [file],
    durationMs: performance.now() - began,
  };
}
