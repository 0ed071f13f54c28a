import fc from 'fast-check';
import { mkdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Window } from '../../domain/features.js';
import { fromMicros, instant } from '../../domain/instants.js';
import type { SourceSpec } from '../../domain/resources.js';
import {
  bucketFingerprints,
  describeSource,
  sourceFiles,
  sourceRelation,
  sourceVersion,
  windowFingerprint,
  type WindowGrid,
} from '../../lake/sources.js';
import { sourceOf, withLake, type TestLake } from '../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const at = (text: string) => `TIMESTAMP '${text}' AS at`;

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
    ['beside a root of which it has the beginning', () => `${lake.folder}-other/rows.parquet`, 'path_not_allowed'],
  ])('a file %s is refused', async (_, path, code) => {
    await expect(files(path())).rejects.toMatchObject({ code, data: { source: 'rows' } });
  });

  test('a link out of the roots is refused', async () => {
    await symlink('/etc/passwd', join(lake.folder, 'link.parquet'));
    await expect(files(join(lake.folder, 'link.parquet'))).rejects.toMatchObject({ code: 'path_not_allowed' });
  });

  test.each([
    ['text', async (file: string) => writeFile(file, 'not Parquet at all')],
    ['nothing', async (file: string) => writeFile(file, '')],
    ['half of the bytes', async (file: string) => writeFile(file, (await readFile(file)).subarray(0, 200))],
  ])('a file that holds %s is unreadable, with DuckDB’s sentence', async (name, spoil) => {
    const file = await lake.write(`${name}.parquet`, `SELECT i, ${at('2001-01-01')} FROM range(1000) t(i)`);
    await spoil(file);
    const described = lake.in((session) => describeSource(session, sourceOf(file), [file]));
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
    const window = { start: instant('2001-01-01'), end: instant('2001-01-02') };
    const grid = { windowMicros: 86_400e6, lookbackMicros: 0 };
    const prints = lake.in((session) => bucketFingerprints(session, sourceOf(file), [file], window, grid));
    await expect(prints).rejects.toMatchObject({ code: 'source_unreadable' });
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
  const read = (file: string, spec: Partial<SourceSpec> = {}, slice?: Window) =>
    lake.query<Record<string, unknown>>(`SELECT * FROM ${sourceRelation(sourceOf(file, spec), [file], slice)}`);

  test.each(['parquet', 'csv', 'json'] as const)(
    'a %s file has its columns, row numbers and known-at',
    async (format) => {
      const file = await lake.write(`rows.${format}`, `SELECT 'x' AS name, ${at('2001-01-01 10:00:00')}`);
      const spec = {
        format,
        knownAt: '"at" + INTERVAL 1 HOUR -- landed',
        ...(format === 'parquet' ? { rowNumber: 'row' } : {}),
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

describe('fingerprints', () => {
  /** Rows as [instant in seconds, value]; the fingerprints of the windows that touch `[0, seconds)`. */
  async function prints(
    rows: readonly (readonly [number, number])[],
    grid: WindowGrid,
    seconds: number,
  ): Promise<string[]> {
    const relation = rows.map(([second, value]) => `(make_timestamp(${second * 1e6}::BIGINT), ${value})`).join(', ');
    const file = await lake.write('prints.parquet', `SELECT * FROM (VALUES ${relation}) v("at", value)`);
    const count = Math.ceil((seconds * 1e6) / grid.windowMicros);
    const windows = Array.from({ length: count }, (_, number) => ({
      start: fromMicros(number * grid.windowMicros),
      end: fromMicros((number + 1) * grid.windowMicros),
    }));
    const slice = { start: fromMicros(-grid.lookbackMicros), end: windows.at(-1)!.end };
    const source = sourceOf(file);
    const buckets = await lake.in((session) => bucketFingerprints(session, source, [file], slice, grid));
    return windows.map((window) => windowFingerprint('definition', window, grid, [buckets]));
  }
  const changed = (before: readonly string[], after: readonly string[]) =>
    before.flatMap((print, number) => (print === after[number] ? [] : [number]));
  const hour = 3600;
  const grid = (windowSeconds: number, lookbackSeconds: number): WindowGrid => ({
    windowMicros: windowSeconds * 1e6,
    lookbackMicros: lookbackSeconds * 1e6,
  });

  test.each([
    ['without lookback', 0, 5 * hour, [5]],
    ['at a window’s first instant', 0, 5 * hour, [5]],
    ['just before a window', 0, 5 * hour - 0.000001, [4]],
    ['with a lookback of a window', hour, 5 * hour, [5, 6]],
    ['with a lookback of 90 minutes, at its edge', 1.5 * hour, 5.5 * hour, [5, 6, 7]],
    ['with a lookback of 90 minutes, just before its edge', 1.5 * hour, 5.5 * hour - 0.000001, [5, 6]],
    ['with a lookback of a microsecond, within it', 0.000001, 5 * hour - 0.000001, [4, 5]],
    ['with a lookback of a microsecond, before it', 0.000001, 5 * hour - 0.000002, [4]],
  ])('a changed row %s (%d s) at %d s reaches exactly the windows %j', async (_, lookback, second, expected) => {
    const rows = (value: number) => [
      ...Array.from({ length: 20 }, (_, number) => [number * 1800, 1] as const),
      [second, value] as const,
    ];
    const before = await prints(rows(1), grid(hour, lookback), 10 * hour);
    expect(changed(before, await prints(rows(2), grid(hour, lookback), 10 * hour))).toEqual(expected);
    expect(changed(before, await prints(rows(1).reverse(), grid(hour, lookback), 10 * hour))).toEqual([]);
  });

  test('a row that is there twice, moves or is gone is seen', async () => {
    const of = (rows: (readonly [number, number])[]) => prints(rows, grid(hour, 0), 2 * hour);
    const before = await of([[60, 1], [7000, 2]]); // prettier-ignore
    expect(changed(before, await of([[60, 1], [60, 1], [7000, 2]]))).toEqual([0]); // prettier-ignore
    expect(changed(before, await of([[61, 1], [7000, 2]]))).toEqual([0]); // prettier-ignore
    expect(changed(before, await of([[7000, 1], [7000, 2]]))).toEqual([0, 1]); // prettier-ignore
  });

  test('any changed row makes those windows new, and only those, whose [start − lookback, end) it lies in', async () => {
    const cases = fc.record({
      window: fc.constantFrom(60, 3600, 5400, 86_400),
      lookback: fc.integer({ min: 0, max: 20_000 }),
      second: fc.integer({ min: 0, max: 43_199 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ window, lookback, second }) => {
        const g = grid(window, lookback);
        const seconds = Math.min(43_200, window * 50);
        const rows = (value: number) => [[0, 0] as const, [second, value] as const];
        const found = changed(await prints(rows(1), g, seconds), await prints(rows(2), g, seconds));
        const expected = Array.from({ length: Math.ceil(seconds / window) }, (_, number) => number).filter(
          (number) => second >= number * window - lookback && second < (number + 1) * window,
        );
        expect(found).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test('the definition belongs to a fingerprint', () => {
    const window = { start: fromMicros(0), end: fromMicros(60e6) };
    const print = (definition: string) => windowFingerprint(definition, window, grid(60, 0), [new Map()]);
    expect(print('a')).not.toBe(print('b'));
  });
});
