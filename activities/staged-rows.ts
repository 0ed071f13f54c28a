import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { OnlineShape } from '../domain/online.js';
import type { PinnedTable } from '../domain/tables.js';
import type { Session } from '../lake/duckdb.js';
import type { StagedView } from '../lake/joins.js';
import { readTexts, typedColumns } from '../lake/online.js';
import { overlay, snapshotRelation } from '../lake/pushes.js';
import { onlineView } from '../store/online.js';
import { copyPushedNow, countPushed } from '../store/staged-rows.js';
import type { Dependencies } from './dependencies.js';

/**
 * What a join reads of a view: the files of the snapshot, above them what was pushed up to the sequence number. Such rows
 * are copied to a temporary table of the session.
 */
export async function stagedView(
  { db, lake, scratch }: Pick<Dependencies, 'db' | 'lake' | 'scratch'>,
  session: Session,
  {
    project,
    name: view,
    revision,
    snapshot,
    files,
    columns,
  }: Omit<PinnedTable, 'rowHash' | 'rows' | 'bytes' | 'schema'>,
  shape: OnlineShape,
  upTo: number | null | 'newest',
): Promise<StagedView> {
  const relation = snapshotRelation(files, columns, (key) => lake.path(key), shape);
  const sequence = upTo === 'newest' ? (await onlineView(db, project, view)).sequence : upTo;
  if (sequence === null || sequence === 0) return { relation, sequence: null };
  const ref = { project, view, revision };
  const selection = { kind: 'beside snapshot', snapshot, sequence } as const;
  if ((await countPushed(db, ref, selection)) === 0) return { relation, sequence: null };
  const staged = await loadTexts(session, scratch, typedColumns(shape), (rows) =>
    copyPushedNow(db, ref, selection, rows),
  );
  return { relation: overlay(relation, staged, shape), sequence };
}

/** A temporary table of the session, by its name, over the lines of texts that `fill` writes. */
export async function loadTexts(
  session: Session,
  scratch: string,
  columns: string,
  fill: (rows: Writable) => Promise<void>,
): Promise<string> {
  const id = randomUUID().replaceAll('-', '');
  const file = join(scratch, `pushed-${id}.csv`);
  try {
    await fill(createWriteStream(file));
    await session.run(`CREATE TEMP TABLE pushed_${id} AS SELECT ${columns} FROM ${readTexts(file)}`);
    return `pushed_${id}`;
  } finally {
    await rm(file, { force: true });
  }
}
