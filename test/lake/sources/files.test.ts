import { mkdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Window } from '../../../domain/features.js';
import { instant } from '../../../domain/instants.js';
import type { SourceSpec } from '../../../domain/resources.js';
import { describeSource, pinSource, sourceFiles, sourceVersion, unreadable } from '../../../lake/sources/index.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const at = (text: string) => `TIMESTAMP '${text}' AS at`;

const read = (path: string, spec: Partial<SourceSpec> = {}, slice?: Window) =>
  lake.in(async (session) => {
    const pinned = await pinSource(session, sourceOf(path, spec), lake.access(), slice ?? 'everything');
    return session.rows<Record<string, unknown>>(`SELECT * FROM ${pinned.relation(slice)}`).catch((error: unknown) => {
      throw unreadable(sourceOf(path), error);
    });
  });

describe('files', () => {
  const files = (path: string, spec: Partial<SourceSpec> = {}, roots = [lake.folder]) =>
    sourceFiles(sourceOf(path, spec), { roots, connections: {} });

  test('a glob names its files in order', async () => {
    await mkdir(join(lake.folder, 'many'), { recursive: true });
    for (const name of ['b', 'a']) await lake.write(`many/${name}.parquet`, `SELECT ${at('2001-01-01')}`);
    const found = [join(lake.folder, 'many/a.parquet'), join(lake.folder, 'many/b.parquet')];
    expect(await files(join(lake.folder, 'many/*.parquet'))).toEqual(found);
    await expect(files(join(lake.folder, 'many/*.parquet'), { rowNumber: 'n' })).rejects.toMatchObject({
      ...{ code: 'resource_invalid', message: expect.stringContaining('single file') },
    });
  });

  test.each([
    ['that does not exist', () => join(lake.folder, 'nothing.parquet'), 'source_missing'],
    ['of a glob without a match', () => join(lake.folder, '*.nothing'), 'source_missing'],
    ['outside of the roots', () => '/etc/passwd', 'path_not_allowed'],
    ['that climbs out of the roots', () => `${lake.folder}/../../etc/passwd`, 'path_not_allowed'],
    ['of a pattern outside of the roots, though none matches', () => '/etc/*.nothing', 'path_not_allowed'],
    ['of a pattern that climbs out', () => `${lake.folder}/../*.nothing`, 'path_not_allowed'],
    ['beside a root of which it has the beginning', () => `${lake.folder}-other/rows.parquet`, 'path_not_allowed'],
  ])('a file %s is refused', async (_, path, code) => {
    await expect(files(path())).rejects.toMatchObject({ code, data: { source: 'rows' } });
  });

  test('a link out of the roots is refused', async () => {
    await symlink('/etc/passwd', join(lake.folder, 'link.parquet'));
    await expect(files(join(lake.folder, 'link.parquet'))).rejects.toMatchObject({ code: 'path_not_allowed' });
  });

  test('rows are numbered as they lie in the file, also where the file has a column of the name that the engine gives', async () => {
    const rows = `SELECT 7 - i AS x, ${at('2001-01-01')}`;
    const plain = await lake.write('plain.parquet', `${rows} FROM range(3) t(i)`);
    const taken = await lake.write('taken.parquet', `${rows}, 'mine' AS File_Row_Number FROM range(3) t(i)`);
    const day = '2001-01-01 00:00:00';
    const numbers = ['0', '1', '2'].map((n, i) => ({ n, x: String(7 - i), at: day, known_at: day }));
    expect(await read(plain, { rowNumber: 'n' })).toEqual(numbers);
    expect(await read(taken, { rowNumber: 'n' })).toEqual(numbers.map((row) => ({ ...row, File_Row_Number: 'mine' })));
    const columns = { x: 'BIGINT', at: 'TIMESTAMP' } as const;
    expect(await read(taken, { rowNumber: 'n', columns })).toEqual(numbers);
  });

  test.each([
    ['text', async (file: string) => writeFile(file, 'not Parquet at all')],
    ['nothing', async (file: string) => writeFile(file, '')],
    ['half of the bytes', async (file: string) => writeFile(file, (await readFile(file)).subarray(0, 200))],
  ])('a file that holds %s is unreadable, with DuckDB’s sentence', async (name, spoil) => {
    const file = await lake.write(`${name}.parquet`, `SELECT i, ${at('2001-01-01')} FROM range(1000) t(i)`);
    await spoil(file);
    const described = lake.in((session) => describeSource(session, sourceOf(file), lake.access()));
    await expect(described).rejects.toMatchObject({
      code: 'source_unreadable',
      message: expect.stringMatching(/^Source "rows": .*(Parquet|parquet|magic|too small)/),
    });
  });

  test('pages that are broken are found when the rows are read', async () => {
    const file = await lake.write('pages.parquet', `SELECT hash(i) AS x, ${at('2001-01-01')} FROM range(20000) t(i)`);
    const bytes = await readFile(file);
    bytes.fill(0xff, 4, 4000);
    await writeFile(file, bytes);
    await expect(read(file)).rejects.toMatchObject({ code: 'source_unreadable' });
  });

  test('the version of a source changes with its files and its definition, and with nothing else', async () => {
    const file = await lake.write('version.parquet', `SELECT ${at('2001-01-01')}`);
    const version = (hash = 'source') =>
      sourceVersion({ ...sourceOf(file), hash }, { roots: [lake.folder], connections: {} });
    const before = await version();
    expect(await version()).toBe(before);
    expect(await version('other definition')).not.toBe(before);
    const { atime, mtime } = await stat(file);
    await utimes(file, atime, new Date(mtime.getTime() + 1));
    expect(await version()).not.toBe(before);
  });
});

describe('rows', () => {
  test.each(['parquet', 'csv', 'json'] as const)(
    'a %s file has its columns, row numbers and known-at',
    async (format) => {
      const file = await lake.write(`rows.${format}`, `SELECT 'x' AS name, ${at('2001-01-01 10:00:00')}`);
      const spec = {
        format,
        knownAt: '"at" + INTERVAL 1 HOUR -- landed',
        ...(format === 'parquet' ? { rowNumber: 'row' } : { columns: { name: 'VARCHAR', at: 'TIMESTAMP' } as const }),
      };
      expect(await read(file, spec)).toMatchObject([
        {
          name: 'x',
          at: '2001-01-01 10:00:00',
          known_at: '2001-01-01 11:00:00',
          ...(format === 'parquet' ? { row: '0' } : {}),
        },
      ]);
    },
  );

  test('without a known-at a row is known at its event time', async () => {
    const file = await lake.write('plain.parquet', `SELECT ${at('2001-01-01 10:00:00')}`);
    expect(await read(file)).toEqual([{ at: '2001-01-01 10:00:00', known_at: '2001-01-01 10:00:00' }]);
  });

  test('its own column known_at gives way to the expression, which may read it', async () => {
    const file = await lake.write('own.parquet', `SELECT ${at('2001-01-01')}, TIMESTAMP '2001-01-02' AS Known_At`);
    const knownAt = 'known_at + INTERVAL 1 HOUR';
    expect(await read(file, { knownAt })).toEqual([{ at: '2001-01-01 00:00:00', known_at: '2001-01-02 01:00:00' }]);
  });

  test.each([
    ['TIMESTAMP', "TIMESTAMP '2001-01-01 23:59:59.999999'", 1],
    ['TIMESTAMP', "TIMESTAMP '2001-01-02'", 0],
    ['TIMESTAMP', "TIMESTAMP '2001-01-01'", 1],
    ['a zone east of UTC', "TIMESTAMPTZ '2001-01-02 05:29:59+05:30'", 1],
    ['a zone east of UTC', "TIMESTAMPTZ '2001-01-02 05:30:00+05:30'", 0],
    ['the night of a change of clocks', "TIMESTAMPTZ '2001-01-01 02:30:00 Europe/Berlin'", 1],
    ['nanoseconds', "'2001-01-01 23:59:59.999999999'::TIMESTAMP_NS", 1],
    ['milliseconds', "'2001-01-02'::TIMESTAMP_MS", 0],
    ['NULL', 'NULL::TIMESTAMP', 0],
  ])('a slice is half-open in UTC, also for %s: %s', async (_, value, rows) => {
    const file = await lake.write('slice.parquet', `SELECT ${value} AS at`);
    const slice = { start: instant('2001-01-01'), end: instant('2001-01-02') };
    expect(await read(file, {}, slice)).toHaveLength(rows);
  });
});
