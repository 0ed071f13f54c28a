import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Window } from '../../../domain/features.js';
import type { ArrowAppender, ArrowRows } from '../../../lake/arrow-table.js';
import { rangeOfRows } from '../../../lake/coverage.js';
import { quoteText, type Session } from '../../../lake/duckdb.js';
import { asWriteFailure } from '../../../lake/snapshots.js';
import { scratchFile } from './joined.js';

/** Rows of a spine that have arrived, in files. */
export interface SpinePart {
  readonly paths: readonly string[];
  readonly rows: number;
  readonly range: Window | null;
}

export interface ArrivingSpine {
  /** What has arrived since the last part, at once when anything has; null at the end. Throws what broke the stream. */
  next(): Promise<SpinePart | null>;
  /** The files of a part are not needed any more. */
  drop(part: SpinePart): Promise<void>;
  /** Nobody asks any more. */
  stop(): Promise<void>;
}

/** A file is written when so many rows wait, so that memory holds no more of them. */
const fileRowsMax = 65_536;
/** Each join reads its views anew, so it takes many rows; it sorts them in memory, so there is a limit. */
const partRowsMax = 262_144;
/** Rows that no join has taken yet: a client may send this much before it reads an answer. */
const filesMax = 512;

/**
 * Writes a spine to files while it arrives. A join takes what came while the one before was made: the answers of a client that
 * waits for each come at once, and one that sends without a pause has large joins, however long a join takes.
 */
export function arrivingSpine(
  session: Session,
  where: { readonly scratch: string },
  rows: ArrowRows,
  eventTime: string,
): ArrivingSpine {
  const table = 'arriving_spine';
  const files: { path: string; rows: number; range: Window | null }[] = [];
  let filling: { appender: ArrowAppender; rows: number } | null = null;
  let state: 'open' | 'ended' | 'stopped' = 'open';
  let failure: { readonly error: unknown } | null = null;
  const { announce, changed } = createBell();
  // A session does one thing at a time, and rows are appended while others ask for what there is.
  const inTurn = createTurns();

  async function flush(): Promise<void> {
    if (!filling) return;
    const { appender, rows: count } = filling;
    filling = null;
    appender.close();
    const path = scratchFile(where, `spine-${randomUUID()}.parquet`);
    const range = await rangeOfRows(session, table, eventTime);
    await session.run(`COPY ${table} TO ${quoteText(path)} (FORMAT parquet)`).catch(async (error: unknown) => {
      await removeAll([path]);
      throw asWriteFailure(error, 'the spine');
    });
    // Not before it is whole: a join takes what it finds here.
    files.push({ path, rows: count, range });
  }

  async function gather(): Promise<void> {
    for await (const batch of rows.batches) {
      if (batch.numRows > 0)
        await inTurn(async () => {
          if (state !== 'open') return;
          filling ??= { appender: await rows.table(session, table), rows: 0 };
          await filling.appender.append(batch);
          filling.rows += batch.numRows;
          if (filling.rows >= fileRowsMax) await flush();
        });
      announce();
      while (files.length >= filesMax && state === 'open') await changed();
      if (state !== 'open') return;
    }
  }

  gather()
    .catch((error: unknown) => (failure = { error }))
    .finally(() => {
      if (state === 'open') state = 'ended';
      announce();
    });

  return {
    async next() {
      for (;;) {
        if (failure) throw failure.error;
        // Taken before it is looked, so that what arrives meanwhile is not missed.
        const later = changed();
        if (files.length === 0) await inTurn(flush);
        const part = partOf(files);
        if (part) {
          announce();
          return part;
        }
        if (state !== 'open' && !failure) return null;
        if (!failure) await later;
      }
    },
    drop: ({ paths }) => removeAll(paths),
    async stop() {
      state = 'stopped';
      announce();
      await inTurn(() => removeAll(files.splice(0).map(({ path }) => path)));
    },
  };
}

/** Wakes all who wait for a change. */
function createBell(): { announce: () => void; changed: () => Promise<void> } {
  let wake: () => void = () => undefined;
  let next = new Promise<void>((resolve) => (wake = resolve));
  return {
    changed: () => next,
    announce() {
      wake();
      next = new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

/** Does one piece of work after the other. */
function createTurns(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
}

const removeAll = async (paths: readonly string[]): Promise<void> =>
  void (await Promise.all(paths.map((path) => rm(path, { force: true }))));

/** Takes files from the front, up to the limit of rows. */
function partOf(files: { path: string; rows: number; range: Window | null }[]): SpinePart | null {
  const taken: typeof files = [];
  let rows = 0;
  while (files[0] && (taken.length === 0 || rows + files[0].rows <= partRowsMax)) {
    rows += files[0].rows;
    taken.push(files.shift() as (typeof files)[number]);
  }
  if (taken.length === 0) return null;
  return { rows, paths: taken.map(({ path }) => path), range: taken.map(({ range }) => range).reduce(around, null) };
}

function around(one: Window | null, other: Window | null): Window | null {
  if (!one || !other) return one ?? other;
  return { start: one.start < other.start ? one.start : other.start, end: one.end > other.end ? one.end : other.end };
}
