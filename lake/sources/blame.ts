import { isDomainError } from '../../domain/errors.js';
import type { Session } from '../duckdb.js';
import { readerOf } from './readers.js';
import { unreadable, type PinnedSource } from './source.js';

/** Which source, and which of its files, cannot be read to the end; null when all can, so that something else is at fault. */
export async function blame(session: Session, pinned: readonly PinnedSource[]): Promise<unknown> {
  for (const one of pinned) {
    const broken = await failureOf(session, one.relation());
    if (broken === null) continue;
    for (const file of one.files ?? []) {
      const failure = await readerOf(session, one.source, [file]).then(
        (rows) => failureOf(session, rows),
        (error: unknown) => error,
      );
      if (failure !== null) return unreadable(one.source, failure, file);
    }
    return unreadable(one.source, broken);
  }
  return null;
}

/** Does the work; when DuckDB fails because a source is broken, the error names it. */
export async function blaming<Result>(
  session: Session,
  pinned: readonly PinnedSource[],
  work: () => Promise<Result>,
): Promise<Result> {
  return work().catch(async (error: unknown) => {
    if (!isDomainError(error) || error.code !== 'query_failed') throw error;
    throw (await blame(session, pinned)) ?? error;
  });
}

const failureOf = (session: Session, relation: string): Promise<unknown> =>
  session.run(`SELECT sum(hash(*COLUMNS(*))) FROM ${relation}`).then(
    () => null,
    (error: unknown) => error,
  );
