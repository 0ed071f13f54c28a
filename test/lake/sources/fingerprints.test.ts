import fc from 'fast-check';
import { fromMicros } from '../../../domain/instants.js';
import {
  bucketFingerprints,
  pinSource,
  stateOf,
  windowFingerprint,
  type WindowGrid,
} from '../../../lake/sources/index.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

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
  const buckets = await lake.in(async (session) =>
    bucketFingerprints(session, await pinSource(session, source, lake.access(), slice), slice, grid),
  );
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

const nothing = { columns: [], buckets: new Map<number, string>() };

/** Fingerprint of a window, and state, of the same rows, under names and types of their own. */
async function stateAndPrint(select: string) {
  const slice = { start: fromMicros(0), end: fromMicros(hour * 1e6) };
  const source = sourceOf(await lake.write('shape.parquet', `SELECT *, make_timestamp(0) AS "at" FROM (${select})`));
  return lake.in(async (session) => {
    const pinned = await pinSource(session, source, lake.access(), slice);
    const buckets = await bucketFingerprints(session, pinned, slice, grid(hour, 0));
    const state = await stateOf(session, { ...pinned, version: null });
    return { print: windowFingerprint('definition', slice, grid(hour, 0), [buckets]), state };
  });
}

test.each([
  ['another column than one called rows', 'SELECT 1 AS rows, 2 AS b', 'SELECT 1 AS rows, 3 AS b'],
  ['a column’s name', 'SELECT 1 AS a, 3 AS b', 'SELECT 3 AS b, 1 AS a'],
  ['which column has which name', 'SELECT 1 AS a, 3 AS b', 'SELECT 1 AS b, 3 AS a'],
  ['a column’s type', 'SELECT 1::INTEGER AS a', 'SELECT 1::BIGINT AS a'],
  ['a list from none to empty', 'SELECT NULL::INT[] AS a', 'SELECT []::INT[] AS a'],
  ['a list from empty to one of NULL', 'SELECT []::INT[] AS a', 'SELECT [NULL]::INT[] AS a'],
  ['a list in a struct', 'SELECT {x: []::INT[]} AS a', 'SELECT {x: NULL::INT[]} AS a'],
  ['a word in a list', "SELECT ['a, b'] AS a", "SELECT ['a', 'b'] AS a"],
  ['NULL to its word in a list', 'SELECT [NULL::VARCHAR] AS a', "SELECT ['NULL'] AS a"],
])('a change of %s is seen', async (_, before, after) => {
  const first = await stateAndPrint(before);
  const second = await stateAndPrint(after);
  expect(await stateAndPrint(before)).toEqual(first);
  expect(second.print).not.toBe(first.print);
  expect(second.state).not.toBe(first.state);
});

test('the definition belongs to a fingerprint', () => {
  const window = { start: fromMicros(0), end: fromMicros(60e6) };
  const print = (definition: string) => windowFingerprint(definition, window, grid(60, 0), [nothing]);
  expect(print('a')).not.toBe(print('b'));
});

test('of a window only its bounds belong to a fingerprint, not what else is known of it', () => {
  const window = { start: fromMicros(0), end: fromMicros(60e6) };
  const planned = { ...window, sourceFingerprint: 'x', predecessor: 7 };
  const print = (of: typeof window) => windowFingerprint('a', of, grid(60, 0), [nothing]);
  expect(print(planned)).toBe(print(window));
});
