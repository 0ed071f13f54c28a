import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Window } from '../../../domain/features.js';
import { instant } from '../../../domain/instants.js';
import { pinSource, sourceVersion } from '../../../lake/sources/index.js';
import { sourcesPython, writeTable, type WrittenTable } from '../../clients/sources/python.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
let python: string;
beforeAll(async () => {
  [lake, python] = await Promise.all([withLake(), sourcesPython()]);
}, 300_000);
afterAll(() => lake.close());

const day: Window = { start: instant('2001-01-01'), end: instant('2001-01-02') };

describe.each(['delta', 'iceberg'] as const)('a table of %s', (format) => {
  const root = () => join(lake.folder, format);
  const path = () => (format === 'iceberg' ? join(root(), 'shop', 'events') : root());
  const source = () => sourceOf(path(), { format });
  const write = (first: number, end: number, mode: WrittenTable['mode'] = 'append') =>
    writeTable(python, { format, folder: root(), first, end, mode });
  const version = () => sourceVersion(source(), lake.access());
  const read = (reach: Window | 'everything' = 'everything') =>
    lake.in(async (session) => {
      const pinned = await pinSource(session, source(), lake.access(), reach);
      const [row] = await session.rows<{ rows: number; sum: number }>(
        `SELECT count(*)::INT AS rows, coalesce(sum(value), 0)::INT AS sum FROM ${pinned.relation()}`,
      );
      return { version: pinned.version, ...row };
    });

  test('is read at its newest version, by slices', async () => {
    await write(0, 30);
    expect(await read()).toEqual({ version: await version(), rows: 30, sum: 435 });
    expect(await read(day)).toMatchObject({ rows: 24, sum: 276 });
  });

  test('has another version when rows were added or replaced', async () => {
    const first = await version();
    await write(30, 40);
    const second = await version();
    expect(second).not.toBe(first);
    expect(await read()).toEqual({ version: second, rows: 40, sum: 780 });
    await write(0, 5, 'overwrite');
    expect(await read()).toEqual({ version: await version(), rows: 5, sum: 10 });
  });

  test('stays as it was pinned while it is written', async () => {
    await lake.in(async (session) => {
      const pinned = await pinSource(session, source(), lake.access(), 'everything');
      await write(5, 9);
      expect(await session.rows(`SELECT value FROM ${pinned.relation(day)}`)).toHaveLength(5);
      expect(pinned.version).not.toBe(await version());
    });
  });

  test('whose files lie outside of the roots is not read, whatever its metadata says', async () => {
    const other = await withLake();
    await cp(path(), join(other.folder, 'moved'), { recursive: true });
    // Of Delta the paths are relative and move along; those of Iceberg name the folder that it was written to.
    const moved = sourceOf(join(other.folder, 'moved'), { format });
    const reading = other.in((session) => pinSource(session, moved, other.access(), 'everything'));
    if (format === 'iceberg') await expect(reading).rejects.toMatchObject({ code: 'source_unreadable' });
    else expect((await reading).version).toBeTruthy();
    const beyond = other.in((session) => pinSource(session, source(), other.access(), 'everything'));
    await expect(beyond).rejects.toMatchObject({ code: 'path_not_allowed' });
    await other.close();
  });

  test('that lost a file is unreadable', async () => {
    const files = (await readdir(path(), { recursive: true })).filter((name) => name.endsWith('.parquet'));
    for (const file of files) await rm(join(path(), file));
    await expect(read()).rejects.toMatchObject({ code: 'source_unreadable' });
  });

  test('that is none is missing', async () => {
    const nothing = sourceOf(lake.folder, { format });
    await expect(sourceVersion(nothing, lake.access())).rejects.toMatchObject({ code: 'source_missing' });
  });
});
