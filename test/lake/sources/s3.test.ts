import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Window } from '../../../domain/features.js';
import { instant } from '../../../domain/instants.js';
import type { SourceSpec } from '../../../domain/resources.js';
import type { SourceAccess } from '../../../lake/access.js';
import { pinSource, sourceVersion } from '../../../lake/sources/index.js';
import { sourcesPython, writeTable } from '../../clients/sources/python.js';
import { startS3, type TestS3 } from '../../clients/sources/s3.js';
import { importsOf, sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
let s3: TestS3;
beforeAll(async () => {
  [lake, s3] = await Promise.all([withLake(), startS3('warehouse')]);
}, 300_000);
afterAll(async () => {
  await Promise.all([lake.close(), s3.close()]);
});

const access = (more: Partial<SourceAccess['imports']> = {}): SourceAccess => ({
  ...lake.access({ roots: [lake.folder, 's3://warehouse/in'] }),
  imports: { ...importsOf(lake.folder), s3: s3.access, ...more },
});
const day: Window = { start: instant('2001-01-01'), end: instant('2001-01-02') };
const source = (path: string, spec: Partial<SourceSpec> = {}) => sourceOf(`s3://warehouse/${path}`, spec);
const version = (path: string) => sourceVersion(source(path), access());

const read = (path: string, spec: Partial<SourceSpec> = {}, reach: Window | 'everything' = 'everything') =>
  lake.in(async (session) => {
    const pinned = await pinSource(session, source(path, spec), access(), reach);
    const rows = await session.rows(`SELECT * EXCLUDE (known_at) FROM ${pinned.relation()} ORDER BY ALL`);
    return { version: pinned.version, rows };
  });

async function put(path: string, select: string): Promise<void> {
  await s3.put(path, await readFile(await lake.write('upload.parquet', select)));
}
const event = (value: number, at = '2001-01-01') => `SELECT ${value} AS value, TIMESTAMP '${at}' AS "at"`;

test('files of a glob are read, and those beside it are not', async () => {
  await put('in/days/a b+é.parquet', event(1));
  await put('in/days/b.parquet', event(2, '2001-01-02'));
  await put('in/days/deeper/c.parquet', event(3));
  await put('in/days.parquet', event(4));
  expect(await read('in/days/*.parquet')).toEqual({
    version: await version('in/days/*.parquet'),
    rows: [
      { value: 1, at: '2001-01-01 00:00:00' },
      { value: 2, at: '2001-01-02 00:00:00' },
    ],
  });
  expect((await read('in/days/*.parquet', {}, day)).rows).toHaveLength(1);
  expect((await read('in/**/*.parquet')).rows).toHaveLength(4);
});

test('more objects than one page of a listing are all there', async () => {
  const file = await readFile(await lake.write('upload.parquet', event(1)));
  const names = Array.from({ length: 1_005 }, (_, at) => `in/many/${at}.parquet`);
  for (let at = 0; at < names.length; at += 15)
    await Promise.all(names.slice(at, at + 15).map((name) => s3.put(name, file)));
  const before = await version('in/many/*.parquet');
  await s3.remove(names.at(-1) ?? '');
  expect(await version('in/many/*.parquet')).not.toBe(before);
}, 120_000);

test('CSV is read by its declared columns', async () => {
  await s3.put('in/rows.csv', 'at,value\n2001-01-01T01:00:00+01:00,7\n');
  const spec = { format: 'csv', columns: { value: 'INTEGER', at: 'TIMESTAMP' } } as const;
  expect((await read('in/rows.csv', spec)).rows).toEqual([{ value: 7, at: '2001-01-01 00:00:00' }]);
});

test('the version changes with the content, also when size and second stay', async () => {
  await s3.put('in/state.csv', 'at,value\n2001-01-01,1\n');
  const before = await version('in/state.csv');
  expect(await version('in/state.csv')).toBe(before);
  await s3.put('in/state.csv', 'at,value\n2001-01-01,2\n');
  expect(await version('in/state.csv')).not.toBe(before);
});

test('an object that is replaced while it is read is source_changed, never a mix', async () => {
  const contents = await Promise.all(
    [1, 2].map(async (value) => readFile(await lake.write(`v${value}.parquet`, `SELECT ${value} AS value, TIMESTAMP '2001-01-01' AS "at" FROM range(100000)`))), // prettier-ignore
  );
  await s3.put('in/moving.parquet', contents[0] ?? '');
  let going = true;
  const writer = (async () => {
    for (let at = 0; going; at++) await s3.put('in/moving.parquet', contents[at % 2] ?? '');
  })();
  const outcomes = new Set<string>();
  for (let round = 0; round < 8; round++)
    outcomes.add(
      await lake
        .in(async (session) => {
          const pinned = await pinSource(session, source('in/moving.parquet'), access(), 'everything');
          const [row] = await session.rows<{ values: number }>(`SELECT count(DISTINCT value)::INT AS values FROM ${pinned.relation()}`); // prettier-ignore
          return `${row?.values} value`;
        })
        .catch((error: { code?: string }) => error.code ?? String(error)),
    );
  going = false;
  await writer;
  expect(['1 value', 'source_changed']).toEqual(expect.arrayContaining([...outcomes]));
  expect((await read('in/moving.parquet')).rows).toHaveLength(100_000);
}, 120_000);

test('a Delta table in S3 is read at its version', async () => {
  const folder = join(lake.folder, 'delta');
  await writeTable(await sourcesPython(), { format: 'delta', folder, first: 0, end: 5, mode: 'append' });
  for (const name of (await readdir(folder, { recursive: true })).filter((one) => /\.(parquet|json)$/.test(one)))
    await s3.put(`in/delta/${name}`, await readFile(join(folder, name)));
  const { version: pinned, rows } = await read('in/delta', { format: 'delta' });
  expect(rows).toHaveLength(5);
  expect(pinned).toBe(await sourceVersion(source('in/delta', { format: 'delta' }), access()));
}, 60_000);

test('an Iceberg table that was written to S3 is read at its snapshot, by slices', async () => {
  const written = { format: 'iceberg', folder: 's3://warehouse/in/ice', first: 0, end: 30, mode: 'append' } as const;
  await writeTable(await sourcesPython(), { ...written, s3: s3.access });
  const spec = { format: 'iceberg' } as const;
  const { version: pinned, rows } = await read('in/ice/shop/events', spec);
  expect(rows).toHaveLength(30);
  expect(pinned).toBe(await sourceVersion(source('in/ice/shop/events', spec), access()));
  expect((await read('in/ice/shop/events', spec, day)).rows).toHaveLength(24);
}, 60_000);

test.each([
  ['outside of the roots', 'out/a.parquet', {}, 'path_not_allowed'],
  ['beside a root of which it has the beginning', 'in-other/a.parquet', {}, 'path_not_allowed'],
  ['that climbs', 'in/../out/a.parquet', {}, 'path_not_allowed'],
  ['that is not there', 'in/nothing.parquet', {}, 'source_missing'],
  ['of a glob without a match', 'in/*.nothing', {}, 'source_missing'],
  ['that is no Parquet', 'in/rows.csv', {}, 'source_unreadable'],
])('an object %s is refused', async (_, path, spec, code) => {
  await expect(read(path, spec)).rejects.toMatchObject({ code });
});

test('a server that is away is tried again, and keys that it refuses are not, without a secret in the sentence', async () => {
  const away = access({ s3: { ...s3.access, endpoint: 'http://127.0.0.1:1' } });
  await expect(sourceVersion(source('in/rows.csv'), away)).rejects.toMatchObject({ code: 'source_unreachable' });
  await s3.refuseKeys();
  const refused = await sourceVersion(source('in/rows.csv'), access()).catch((error: unknown) => error as Error);
  expect(refused).toMatchObject({ code: 'source_unreadable', message: expect.stringContaining('InvalidAccessKeyId') });
  expect(String((refused as Error).message)).not.toContain('a-secret');
});
