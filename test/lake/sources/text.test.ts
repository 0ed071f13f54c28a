import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { SourceSpec } from '../../../domain/resources.js';
import { typed } from '../../../lake/duckdb.js';
import { pinSource, unreadable } from '../../../lake/sources/index.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const columns = { a: 'BIGINT', b: 'VARCHAR', at: 'TIMESTAMP' } as const;

async function read(path: string, spec: Partial<SourceSpec>) {
  const source = sourceOf(join(lake.folder, path), { columns, ...spec });
  return lake.in(async (session) => {
    const pinned = await pinSource(session, source, lake.access(), 'everything');
    return session.rows(`SELECT * EXCLUDE (known_at) FROM ${pinned.relation()}`).catch((error: unknown) => {
      throw unreadable(source, error);
    });
  });
}
async function csv(contents: Record<string, string | Buffer>, spec: Partial<SourceSpec> = {}) {
  const folder = join(lake.folder, 'csv');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  for (const [name, content] of Object.entries(contents)) await writeFile(join(folder, name), content);
  return read('csv/*', { format: 'csv', ...spec });
}
const one = (content: string | Buffer, spec?: Partial<SourceSpec>) => csv({ 'rows.csv': content }, spec);
const row = (a: number | null, b: string | null, at: string | null) => ({
  ...{ a: a === null ? null : String(a), b, at },
});

describe('CSV', () => {
  test.each([
    ['with commas', 'a,b,at\n1,"x, ""y""\nz",2001-01-01\n', row(1, 'x, "y"\nz', '2001-01-01 00:00:00')],
    ['with semicolons and CRLF', 'a;b;at\r\n1;x,y;2001-01-01\r\n', row(1, 'x,y', '2001-01-01 00:00:00')],
    ['with tabs and a byte order mark', '\uFEFFa\tb\tat\n1\tx\t2001-01-01', row(1, 'x', '2001-01-01 00:00:00')],
    [
      'with columns in another order, and more of them',
      'at,other,b,a\n2001-01-01,o,x,1\n',
      row(1, 'x', '2001-01-01 00:00:00'),
    ],
    ['with empty cells', 'a,b,at\n,,\n', row(null, null, null)],
  ])('a file %s has its declared columns', async (_, content, expected) => {
    expect(await one(content)).toEqual([expected]);
  });

  test.each([
    ['naive', '2001-07-01 02:00:00.123456', '2001-07-01 02:00:00.123456'],
    ['of UTC', '2001-07-01T02:00:00Z', '2001-07-01 02:00:00'],
    ['with an offset', '2001-07-01T02:00:00+02:00', '2001-07-01 00:00:00'],
    ['of a zone in summer', '2001-07-01 02:00:00 Europe/Berlin', '2001-07-01 00:00:00'],
    ['of a zone in winter', '2001-01-01 02:00:00 Europe/Berlin', '2001-01-01 01:00:00'],
    ['in the hour that a clock skips', '2001-03-25 02:30:00 Europe/Berlin', '2001-03-25 01:30:00'],
  ])('a timestamp %s is one instant in UTC: %s', async (_, text, expected) => {
    expect(await one(`a,b,at\n1,x,${text}\n`)).toEqual([row(1, 'x', expected)]);
    await writeFile(join(lake.folder, 'zone.json'), JSON.stringify({ a: 1, b: 'x', at: text }));
    const json = read('zone.json', { format: 'json' });
    // The JSON reader knows offsets, not names of zones; it refuses them.
    if (text.endsWith('Berlin')) await expect(json).rejects.toMatchObject({ code: 'source_unreadable' });
    else expect(await json).toEqual([row(1, 'x', expected)]);
  });

  test.each([
    ['without a time', '2001-07-01', '2001-07-01'],
    ['of an instant that is on the day before in UTC', '2001-07-01T01:00:00+02:00', '2001-06-30'],
    ['of an instant that is on the day after in UTC', '2001-06-30T23:00:00-05:00', '2001-07-01'],
  ])('a date %s is the day in UTC: %s', async (_, text, expected) => {
    const spec = { columns: { a: 'DATE', at: 'TIMESTAMP' } as const };
    const rows = [{ a: expected, at: '2001-01-01 00:00:00' }];
    expect(await one(`a,at\n${text},2001-01-01\n`, spec)).toEqual(rows);
    await writeFile(join(lake.folder, 'day.json'), JSON.stringify({ a: text, at: '2001-01-01' }));
    expect(await read('day.json', { format: 'json', ...spec })).toEqual(rows);
    expect(await lake.query(`SELECT ${typed(`'${text}'`, 'DATE')}::VARCHAR AS day`)).toEqual([{ day: expected }]);
  });

  test('rows that are added never change what a column means', async () => {
    const spec = { columns: { ...columns, b: 'VARCHAR' } as const };
    const before = await csv({ '1.csv': 'a,b,at\n1,007,2001-01-01\n' }, spec);
    const after = await csv({ '1.csv': 'a,b,at\n1,007,2001-01-01\n2,x,2001-01-01\n' }, spec);
    expect(before[0]).toEqual(row(1, '007', '2001-01-01 00:00:00'));
    expect(after[0]).toEqual(before[0]);
  });

  test('files of different headers, an empty one and a compressed one are read together', async () => {
    const rows = await csv({
      '1.csv': 'a,b,at\n1,x,2001-01-01\n',
      '2.csv': 'at;a;b\n2001-01-02;2;y\n',
      '3.csv': '',
      '4.csv': 'a,b,at\n',
      '5.csv.gz': gzipSync('b,a,at\nz,3,2001-01-03\n'),
    });
    expect(rows).toHaveLength(3);
    expect(rows).toContainEqual(row(2, 'y', '2001-01-02 00:00:00'));
    expect(rows).toContainEqual(row(3, 'z', '2001-01-03 00:00:00'));
  });

  test('floating-point values may be NaN and infinite, and stay so', async () => {
    const spec = { columns: { a: 'DOUBLE', at: 'TIMESTAMP' } as const };
    expect(await one('a,at\nNaN,2001-01-01\n-inf,infinity\n', spec)).toEqual([
      { a: 'NaN', at: '2001-01-01 00:00:00' },
      { a: '-Infinity', at: 'infinity' },
    ]);
  });

  test.each([
    ['a row with a cell too few', 'a,b,at\n1,x,2001-01-01\n2,y\n', 'source_unreadable', /Line: 3[^]*rows\.csv/],
    ['a row with a cell too many', 'a,b,at\n1,x,2001-01-01\n2,y,2001-01-01,z\n', 'source_unreadable', /Line: 3/],
    ['a quote that does not end', 'a,b,at\n1,"x,2001-01-01\n', 'source_unreadable', /Line: 2/],
    ['a value of another type', 'a,b,at\n1,x,2001-01-01\nno,y,2001-01-01\n', 'source_unreadable', /Line: 3[^]*"no"/],
    [
      'text that is not UTF-8',
      Buffer.from([...Buffer.from('a,b,at\n1,'), 0xff, ...Buffer.from(',2001-01-01\n')]),
      'source_unreadable',
      /unicode/,
    ],
    [
      'a column less',
      'a,at\n1,2001-01-01\n',
      'source_schema_changed',
      /rows\.csv lacks the declared b VARCHAR; it has a, at/,
    ],
    ['no header', '1,x,2001-01-01\n', 'source_schema_changed', /lacks the declared/],
    ['a column twice', 'a,b,at,a\n1,x,2001-01-01,2\n', 'source_schema_changed', /names a column twice/],
  ])('a file with %s is refused, by its name', async (_, content, code, message) => {
    await expect(one(content)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('without declared columns it is refused, with what to write', async () => {
    await expect(one('a,at\n1,2001-01-01\n', { columns: undefined })).rejects.toMatchObject({
      ...{ code: 'resource_invalid', message: expect.stringContaining('columns: {at: TIMESTAMP') },
    });
  });
});

describe('JSON', () => {
  const json = async (content: string) => {
    await writeFile(join(lake.folder, 'rows.json'), content);
    return read('rows.json', { format: 'json' });
  };
  const first = row(1, null, '2001-01-01 00:00:00');

  test.each([
    ['a line each', '{"a": 1, "at": "2001-01-01"}\n{"at": "2001-01-02", "a": 2, "b": "x", "more": [1]}\n'],
    ['an array', '[{"a": 1, "at": "2001-01-01"}, {"a": 2, "b": "x", "at": "2001-01-02"}]'],
  ])('objects in %s have their declared columns; a key that is not there is NULL', async (_, content) => {
    expect(await json(content)).toEqual([first, row(2, 'x', '2001-01-02 00:00:00')]);
  });

  test('an empty file has no rows', async () => expect(await json('')).toEqual([]));

  test.each([
    ['cut short', '{"a": 1, "at": "2001-01-01"}\n{"a": 2, "at', /rows\.json/],
    ['of another type', '{"a": "x", "at": "2001-01-01"}', /rows\.json/],
    ['not JSON', 'a,at\n1,2001-01-01\n', /rows\.json/],
  ])('a file that is %s is refused, by its name', async (_, content, message) => {
    await expect(json(content)).rejects.toMatchObject({
      ...{ code: 'source_unreadable', message: expect.stringMatching(message) },
    });
  });
});

describe('Parquet files together', () => {
  const parquet = async (contents: Record<string, string>, spec: Partial<SourceSpec> = {}) => {
    const folder = join(lake.folder, 'parquet');
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    for (const [name, select] of Object.entries(contents)) await lake.write(`parquet/${name}.parquet`, select);
    return read('parquet/*.parquet', { columns: undefined, ...spec });
  };
  const at = `TIMESTAMP '2001-01-01' AS "at"`;

  test('the order of columns does not matter', async () => {
    const rows = await parquet({ a: `SELECT 1 AS a, 2 AS b, ${at}`, b: `SELECT ${at}, 4 AS b, 3 AS a` });
    expect(rows).toEqual([expect.objectContaining({ a: 1, b: 2 }), expect.objectContaining({ a: 3, b: 4 })]);
  });

  test.each([
    ['lacks a column', `SELECT ${at}`, /only .*a\.parquet has a INTEGER/],
    ['has one more', `SELECT 1 AS a, 2 AS b, ${at}`, /only .*b\.parquet has b INTEGER/],
    ['has another type', `SELECT 'x' AS a, ${at}`, /has a INTEGER; only .*b\.parquet has a VARCHAR/],
  ])('a file that %s is refused, by its name', async (_, second, message) => {
    const reading = parquet({ a: `SELECT 1 AS a, ${at}`, b: second });
    await expect(reading).rejects.toMatchObject({
      code: 'source_schema_changed',
      message: expect.stringMatching(message),
    });
  });

  const declared = { columns: { a: 'BIGINT', at: 'TIMESTAMP' } as const };
  test('declared columns are NULL where a file lacks them, and have the declared type', async () => {
    const rows = await parquet({ a: `SELECT '7' AS a, ${at}`, b: `SELECT 2 AS other, ${at}` }, declared);
    expect(rows).toEqual([expect.objectContaining({ a: '7' }), expect.objectContaining({ a: null })]);
  });

  test('an instant that is text keeps its offset, and is of UTC without one', async () => {
    const texts = ['2001-07-01T00:00:00+02:00', ' 2001-07-01 00:00:00.000001', '2001-07-01T00:00:00Z'];
    const rows = await parquet(
      Object.fromEntries(texts.map((text, i) => [`${i}`, `SELECT ${i} AS a, '${text}' AS "at"`])),
      declared,
    );
    const instants = ['2001-06-30 22:00:00', '2001-07-01 00:00:00.000001', '2001-07-01 00:00:00'];
    expect(rows).toEqual(instants.map((instant, i) => ({ a: String(i), at: instant })));
  });

  test.each([
    [
      'a declared column that is gone from all',
      { a: `SELECT ${at}` },
      'source_schema_changed',
      /no file has the declared a BIGINT/,
    ],
    ['a value that does not fit', { a: `SELECT 'x' AS a, ${at}` }, 'source_unreadable', /'x'/],
  ])('%s is refused', async (_, contents, code, message) => {
    await expect(parquet(contents as never, declared)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test('a file whose name is a pattern is refused, since DuckDB would read others by it', async () => {
    await expect(parquet({ 'a[1]': `SELECT 1 AS a, ${at}` })).rejects.toMatchObject({ code: 'source_unreadable' });
  });
});
