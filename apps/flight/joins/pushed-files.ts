import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { JoinCatalogue } from '../../../domain/joins.js';
import type { OnlineShape } from '../../../domain/online.js';
import type { TableRef } from '../../../domain/tables.js';
import { quoteText, type Engine } from '../../../lake/duckdb.js';
import { readTexts, typedColumns } from '../../../lake/online.js';

/** What was pushed beside snapshots, as files that joins read: a sequence number pins them as a snapshot number pins files. */
export interface PushedFiles {
  /** The path of a Parquet file that stays for at least the time of one join after it was asked for. */
  of(table: TableRef, shape: OnlineShape, sequence: number): Promise<string>;
  close(): Promise<void>;
}

interface Held {
  readonly path: Promise<string>;
  usedAt: number;
}

/** Joins read all of it before their first row; an erasure is done here, too, when this has passed. */
const keptMs = 60_000;

export function createPushedFiles(
  catalogue: Pick<JoinCatalogue, 'copyPushed'>,
  engine: Engine,
  scratch: string,
): PushedFiles {
  const held = new Map<string, Held>();

  async function copy(name: string, table: TableRef, shape: OnlineShape, sequence: number): Promise<string> {
    const texts = join(scratch, `${name}.csv`);
    const path = join(scratch, `${name}.parquet`);
    try {
      await catalogue.copyPushed(table, sequence, createWriteStream(texts));
      const select = `SELECT ${typedColumns(shape)} FROM ${readTexts(texts)}`;
      await engine.session((session) => session.run(`COPY (${select}) TO ${quoteText(path)} (FORMAT parquet)`));
      return path;
    } finally {
      await rm(texts, { force: true });
    }
  }

  async function forget(name: string): Promise<void> {
    const path = await held.get(name)?.path.catch(() => null);
    held.delete(name);
    if (path) await rm(path, { force: true });
  }

  async function sweep(): Promise<void> {
    const over = Date.now() - keptMs;
    for (const [name, { usedAt }] of held) if (usedAt < over) await forget(name);
  }
  const timer = setInterval(() => void sweep(), keptMs).unref();

  return {
    async of(table, shape, sequence) {
      const { project, name, revision, snapshot } = table;
      const file = `pushed-${project}-${name}-r${revision}-s${snapshot}-q${sequence}`;
      const one = held.get(file) ?? { path: copy(file, table, shape, sequence), usedAt: 0 };
      held.set(file, one);
      one.usedAt = Date.now();
      try {
        return await one.path;
      } catch (error) {
        held.delete(file);
        throw error;
      }
    },
    async close() {
      clearInterval(timer);
      for (const name of held.keys()) await forget(name);
    },
  };
}
