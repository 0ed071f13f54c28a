import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDomainError } from '../../../domain/errors.js';
import { instant } from '../../../domain/instants.js';
import { bucketFingerprints, pinSource } from '../../../lake/sources/index.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

/** mulberry32: the same cases in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Region {
  readonly name: 'footer' | 'page header' | 'dictionary' | 'data';
  readonly start: number;
  readonly end: number;
}

/** Where in the file each kind of byte lies, by the file's own footer. */
async function regionsOf(file: string, bytes: Buffer): Promise<Region[]> {
  const chunks = await lake.query<{ dictionary: number | null; data: number; size: number }>(
    `SELECT dictionary_page_offset::INT AS dictionary, data_page_offset::INT AS data, total_compressed_size::INT AS size FROM parquet_metadata('${file}')`,
  );
  const headerBytes = 16;
  const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
  const all: Region[] = [
    { name: 'footer', start: footer, end: bytes.length },
    ...chunks.flatMap(({ dictionary, data, size }): Region[] => [
      ...(dictionary ? [{ name: 'dictionary' as const, start: dictionary + headerBytes, end: data }] : []),
      { name: 'page header', start: data, end: data + headerBytes },
      { name: 'data', start: data + headerBytes, end: (dictionary ?? data) + size },
    ]),
  ];
  return all.filter(({ start, end }) => end > start);
}

const kinds = ['flip', 'zero', 'ones', 'cut'] as const;

function spoil(bytes: Buffer, { start, end }: Region, kind: (typeof kinds)[number], random: (below: number) => number) {
  const at = start + random(end - start);
  const length = Math.min(1 + random(16), end - at);
  const spoiled = Buffer.from(bytes);
  if (kind === 'cut') return spoiled.subarray(0, at);
  if (kind === 'flip') spoiled[at] = (spoiled[at] ?? 0) ^ (1 << random(8));
  else spoiled.fill(kind === 'zero' ? 0 : 0xff, at, at + length);
  return spoiled;
}

/** What a view would be made of: the fingerprints of all buckets, or the error. */
const read = (file: string): Promise<string> =>
  lake.in(async (session) => {
    const pinned = await pinSource(session, sourceOf(file), lake.access(), 'everything');
    return JSON.stringify([...(await bucketFingerprints(session, pinned, everything, grid)).buckets].sort());
  });
const everything = { start: instant('1900-01-01'), end: instant('2100-01-01') };
const grid = { windowMicros: 3600e6, lookbackMicros: 0 };

test('a file that is broken anywhere is refused by its name, or read as it was, or its values differ: never a crash', async () => {
  const cases = process.env.EIDER_LONG ? 1_000 : 300;
  const file = await lake.write(
    'whole.parquet',
    `SELECT i, hash(i) AS noise, 'name ' || (i % 50) AS name, i / 7 AS real, TIMESTAMP '2001-01-01' + INTERVAL (i) SECOND AS "at" FROM range(20000) t(i)`,
  );
  const bytes = await readFile(file);
  const truth = await read(file);
  const regions = await regionsOf(file, bytes);
  const names = [...new Set(regions.map(({ name }) => name))];
  expect(names.sort()).toEqual(['data', 'dictionary', 'footer', 'page header']);
  const random = seeded(13);
  const outcomes = new Map<string, number>();
  for (let number = 0; number < cases; number++) {
    const name = names[number % names.length];
    const kind = kinds[Math.floor(number / names.length) % kinds.length] ?? 'flip';
    const fit = regions.filter((region) => region.name === name);
    const broken = join(lake.folder, `broken-${number}.parquet`);
    await writeFile(broken, spoil(bytes, fit[random(fit.length)] as Region, kind, random));
    const outcome = await read(broken).then(
      (print) => (print === truth ? 'same' : 'differs'),
      (error: unknown) => {
        expect({ number, error }).toMatchObject({ error: { code: 'source_unreadable' } });
        expect(isDomainError(error) && error.message).toContain(`broken-${number}.parquet`);
        return 'refused';
      },
    );
    const key = `${kind} in ${name}: ${outcome}`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
  }
  // Pages have no checksum that DuckDB looks at: another value where a value was is another value. Nothing else goes unnoticed.
  const unnoticed = [...outcomes.keys()].filter((key) => key.endsWith('differs'));
  expect(unnoticed.filter((key) => !/^(flip|zero|ones) in (data|dictionary):/.test(key))).toEqual([]);
  expect([...outcomes.keys()].filter((key) => key.startsWith('cut') && !key.endsWith('refused'))).toEqual([]);
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(cases);
}, 300_000);
