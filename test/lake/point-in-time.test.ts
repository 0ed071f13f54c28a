import fc from 'fast-check';
import { fromMicros, instant, toMicros } from '../../domain/instants.js';
import type { Column } from '../../domain/features.js';
import { quoteText } from '../../lake/duckdb.js';
import { filesRelation, pointInTimeJoin, type JoinView } from '../../lake/point-in-time.js';
import { answer, type FeatureRow, type OracleView, type SpineRow } from './oracle.js';
import { withLake, type TestLake } from '../support/lake.js';

/** Features as they were known: every case against a plain definition of the rules, in oracle.ts. */

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const casesCount = process.env.EIDER_LONG ? 10_000 : 1_000;
const base = toMicros(instant('2001-03-25'));
const stamp = (micros: number | null) =>
  micros === null ? 'NULL::TIMESTAMP' : `make_timestamp(${base + micros}::BIGINT)`;
const literal = (value: string | number | null) => (value === null ? 'NULL' : typeof value === 'string' ? quoteText(value) : String(value)); // prettier-ignore
const keyTypes = ['INTEGER', 'VARCHAR'] as const;
const keyName = (at: number) => `k${at}`;

let files = 0;
/** Writes the view's rows to `parts` files and describes it to the join. */
async function fileOf(view: OracleView, name: string, parts = 1): Promise<JoinView> {
  const keys: Column[] = keyTypes.slice(0, view.keyCount).map((type, at) => ({ name: keyName(at), type }));
  const columns = [
    ...keys,
    { name: 'at', type: 'TIMESTAMP' },
    ...(view.bitemporal ? [{ name: 'known', type: 'TIMESTAMP' }] : []),
    { name: 'value', type: 'INTEGER' },
  ];
  const cells = (row: FeatureRow) => [
    ...row.keys.slice(0, view.keyCount).map(literal),
    stamp(row.at),
    ...(view.bitemporal ? [stamp(row.known)] : []),
    literal(row.value),
  ];
  const select = (rows: readonly FeatureRow[]) =>
    `SELECT ${columns.map(({ name: column, type }, at) => `c${at}::${type} AS "${column}"`).join(', ')} FROM (VALUES ${rows
      .map((row) => `(${cells(row).join(', ')})`)
      .join(', ')}) v(${columns.map((_, at) => `c${at}`).join(', ')})`;
  const shares = Array.from({ length: parts }, (_, part) => view.rows.filter((_row, at) => at % parts === part));
  const written = shares
    .filter((rows) => rows.length > 0)
    .map((rows) => lake.write(`view-${files++}.parquet`, select(rows)));
  return {
    relation: filesRelation(await Promise.all(written), columns),
    name,
    keys: keys.map((key) => ({ column: key.name, type: key.type, spine: key.name })),
    eventTime: 'at',
    knownAt: view.bitemporal ? 'known' : null,
    ttlMicros: view.ttlMicros,
    features: [{ column: 'value', as: `${name}__value` }],
    content: ['value'],
    mode: 'known_at',
    distinct: view.distinct ?? false,
  };
}

async function join(spine: readonly SpineRow[], views: readonly OracleView[], parts = 1) {
  const joined = await Promise.all(views.map((view, at) => fileOf(view, `v${at}`, parts)));
  const rows = spine.map(
    (row, at) => `(${at}, ${row.keys.map(literal).join(', ')}, ${stamp(row.at)}, ${literal(row.passed)})`,
  );
  const relation = `(SELECT id, k0::INTEGER AS k0, k1::VARCHAR AS k1, "at"::TIMESTAMP AS asked, passed::VARCHAR AS passed
    FROM (VALUES ${rows.join(', ')}) s(id, k0, k1, "at", passed)${spine.length === 0 ? ' WHERE false' : ''})`;
  const from = spine.length === 0 ? relation.replace('VALUES ', "VALUES (0, 0, '', NULL, '')") : relation;
  const found = await lake.query<Record<string, unknown>>(
    `SELECT id, passed, asked, ${views.map((_, at) => `v${at}__value`).join(', ')} FROM ${pointInTimeJoin(from, 'asked', joined)} ORDER BY id`,
  );
  return found.map((row) => ({ id: row.id, passed: row.passed, values: views.map((_, at) => row[`v${at}__value`]) }));
}

const expected = (spine: readonly SpineRow[], views: readonly OracleView[]) =>
  spine.map((row, id) => ({ id, passed: row.passed, values: views.map((view) => answer(row, view)) }));

/** Few values, so that ties, NULLs and edges are common; instants around 0 at a distance of microseconds. */
const small = fc.constantFrom(-3, -2, -1, 0, 1, 2, 3);
const nullable = <Value>(of: fc.Arbitrary<Value>, weight = 6) => fc.option(of, { nil: null, freq: weight });
const keys = fc.tuple(nullable(fc.constantFrom(1, 12)), nullable(fc.constantFrom('2', '23', '')));
const featureRow: fc.Arbitrary<FeatureRow> = fc.record({
  keys,
  at: nullable(small),
  known: nullable(small),
  value: nullable(fc.integer({ min: 0, max: 3 })),
});
const spineRow: fc.Arbitrary<SpineRow> = fc.record({
  keys,
  at: nullable(small, 12),
  passed: nullable(fc.constantFrom('x', '')),
});
const view: fc.Arbitrary<OracleView> = fc.record({
  keyCount: fc.constantFrom(1, 2),
  bitemporal: fc.boolean(),
  ttlMicros: fc.constantFrom(null, 0, 1, 2, 5),
  rows: fc.array(featureRow, { maxLength: 12 }),
});

test(`the join answers as the rules say in ${casesCount} cases`, async () => {
  const cases = fc.record({
    spine: fc.array(spineRow, { minLength: 1, maxLength: 8 }),
    views: fc.array(view, { minLength: 1, maxLength: 3 }),
    parts: fc.constantFrom(1, 3),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ spine, views, parts }) => {
      expect(await join(spine, views, parts)).toEqual(expected(spine, views));
    }),
    { numRuns: casesCount },
  );
}, 600_000); // prettier-ignore

const hour = 3_600e6;
const row = (
  at: number | null,
  value: number | null,
  known: number | null = null,
  key: number | null = 1,
): FeatureRow => ({
  ...{ keys: [key, 'a'], at, value, known },
});
const one = (rows: FeatureRow[], more: Partial<OracleView> = {}): OracleView => ({
  ...{ keyCount: 1, bitemporal: false, ttlMicros: null, rows },
  ...more,
});
const asked = (at: number | null, key: number | null = 1): SpineRow => ({ keys: [key, 'a'], at, passed: 'p' });
const known = { bitemporal: true };

test.each<[string, OracleView, SpineRow, number | null]>([
  ['a value of the very instant', one([row(0, 7)]), asked(0), 7],
  ['a value of a microsecond later', one([row(1, 7)]), asked(0), null],
  ['a value exactly as old as its TTL', one([row(-hour, 7)], { ttlMicros: hour }), asked(0), 7],
  ['a value a microsecond older than its TTL', one([row(-hour - 1, 7)], { ttlMicros: hour }), asked(0), null],
  ['a value of a month ago with a TTL of 31 days', one([row(-31 * 24 * hour, 7)], { ttlMicros: 31 * 24 * hour }), asked(0), 7], // prettier-ignore
  ['a value of a month and a microsecond ago', one([row(-31 * 24 * hour - 1, 7)], { ttlMicros: 31 * 24 * hour }), asked(0), null], // prettier-ignore
  ['only the future', one([row(5, 7), row(9, 8)]), asked(0), null],
  ['only what is stale', one([row(-9, 7), row(-8, 8)], { ttlMicros: 5 }), asked(0), null],
  ['the newest of several', one([row(-9, 7), row(-1, 8), row(-5, 9)]), asked(0), 8],
  ['the newest even when it is NULL', one([row(-9, 7), row(-1, null)]), asked(0), null],
  ['of two of the same instant the greater content', one([row(0, 7), row(0, 8)]), asked(0), 8],
  ['of two of the same instant the one known later', one([row(0, 8, 1), row(0, 7, 2)], known), asked(5), 7],
  ['of two of the same instant and known-at the greater content', one([row(0, 7, 1), row(0, 8, 1)], known), asked(5), 8], // prettier-ignore
  ['a NULL key', one([row(0, 7, null, null)]), asked(0, null), null],
  ['a NULL event time', one([row(null, 7)]), asked(0), null],
  ['a question without an instant', one([row(0, 7)]), asked(null), null],
  ['a NULL known-at is known with its event time', one([row(0, 7, null)], known), asked(0), 7],
  ['a known-at before the event time does not make the future known', one([row(3, 7, -5)], known), asked(0), null],
  ['a correction before it was known', one([row(0, 7, 1), row(0, 8, 9)], known), asked(8), 7],
  ['a correction from the instant it was known', one([row(0, 7, 1), row(0, 8, 9)], known), asked(9), 8],
  ['an old fact that was learned late does not displace a newer one', one([row(0, 7, 1), row(-5, 8, 9)], known), asked(10), 7], // prettier-ignore
  ['a TTL counts from the event time, not from when it was known', one([row(-hour, 7, 0)], { ttlMicros: hour - 1, ...known }), asked(0), null], // prettier-ignore
  ['a stale newest does not let an older one through', one([row(-9, 7, 5), row(-8, 8, 1)], { ttlMicros: 8, ...known }), asked(1), null], // prettier-ignore
  ['no rows at all', one([]), asked(0), null],
  ['another key', one([row(0, 7, null, 2)]), asked(0), null],
])('%s is answered rightly', async (_, of, question, value) => {
  expect(answer(question, of)).toBe(value);
  expect(await join([question], [of])).toEqual([{ id: 0, passed: 'p', values: [value] }]);
});

test('composite keys that look alike when they are written one after the other are kept apart', async () => {
  const rows: FeatureRow[] = [
    { keys: [1, '23'], at: 0, known: null, value: 1 },
    { keys: [12, '3'], at: 0, known: null, value: 2 },
  ];
  const spine: SpineRow[] = [
    { keys: [12, '3'], at: 0, passed: 'b' },
    { keys: [1, '23'], at: 0, passed: 'a' },
  ];
  expect((await join(spine, [one(rows, { keyCount: 2 })])).map(({ values }) => values[0])).toEqual([2, 1]);
});

test.each([
  ['first', [null, 'a']],
  ['second', [1, null]],
] as const)('a NULL in the %s of two keys equals nothing, not even NULL', async (_, keys) => {
  const rows: FeatureRow[] = [{ keys: [...keys], at: 0, known: null, value: 7 }];
  expect(await join([{ keys: [...keys], at: 0, passed: 'p' }], [one(rows, { keyCount: 2 })])).toMatchObject([
    { values: [null] },
  ]);
});

test('every row of the spine comes out once, with what it carried: repeated rows too', async () => {
  const spine = [asked(0), asked(0), { ...asked(0), passed: null }, asked(-100)];
  const found = await join(spine, [one([row(0, 7), row(0, 7)])]);
  expect(found.map(({ passed, values }) => [passed, values[0]])).toEqual([['p', 7], ['p', 7], [null, 7], ['p', null]]); // prettier-ignore
});

test('three views with keys of their own are joined side by side', async () => {
  const views = [one([row(0, 1)]), one([{ keys: [1, 'a'], at: 0, known: null, value: 2 }], { keyCount: 2 }), one([row(-9, 3)], { ttlMicros: 5 })]; // prettier-ignore
  expect(await join([asked(0)], views)).toEqual([{ id: 0, passed: 'p', values: [1, 2, null] }]);
});

test('an empty spine gives no rows, and a view without files NULLs', async () => {
  expect(await join([], [one([row(0, 7)])])).toEqual([]);
});

test('a view whose rows are known to be distinct is joined without the choice between them', async () => {
  const rows = Array.from({ length: 50 }, (_, at) => row(at, at));
  const spine = Array.from({ length: 60 }, (_, at) => asked(at - 5));
  const [plain, distinct] = [one(rows), one(rows, { distinct: true })];
  expect(await join(spine, [distinct])).toEqual(await join(spine, [plain]));
});

describe('types of instants', () => {
  const joinTyped = async (question: string, value: string) => {
    const file = await lake.write(`typed-${files++}.parquet`, `SELECT 1 AS k0, ${value} AS "at", 7 AS value`);
    const typed: JoinView = {
      ...{
        relation: filesRelation([file], []),
        keys: [{ column: 'k0', type: 'INTEGER', spine: 'k0' }],
        eventTime: 'at',
        knownAt: null,
      },
      ...{ ttlMicros: hour, features: [{ column: 'value', as: 'v__value' }], distinct: false },
      ...{ name: 'v', content: ['value'], mode: 'known_at' },
    };
    const [found] = await lake.query<{ v__value: number | null }>(
      `SELECT v__value FROM ${pointInTimeJoin(`(SELECT 1 AS k0, ${question} AS asked)`, 'asked', [typed])}`,
    );
    return found?.v__value;
  };
  test.each([
    ['naive is UTC', "TIMESTAMP '2001-03-05 10:00'", "TIMESTAMPTZ '2001-03-05 15:30:00+05:30'", 7],
    ['an hour too early elsewhere', "TIMESTAMP '2001-03-05 09:59:59.999999'", "TIMESTAMPTZ '2001-03-05 15:30:00+05:30'", null], // prettier-ignore
    ['a zone on the asking side', "TIMESTAMPTZ '2001-03-05 15:30:00+05:30'", "TIMESTAMP '2001-03-05 10:00'", 7],
    ['the hour that summer time repeats, first', "TIMESTAMPTZ '2001-10-28 02:30:00+02'", "TIMESTAMP '2001-10-28 00:30'", 7], // prettier-ignore
    ['the hour that summer time repeats, second', "TIMESTAMPTZ '2001-10-28 02:30:00+01'", "TIMESTAMP '2001-10-28 00:29:59'", null], // prettier-ignore
    ['nanoseconds against microseconds', "TIMESTAMP '2001-03-05 10:00:00.000001'", "'2001-03-05 10:00:00.000001000'::TIMESTAMP_NS", 7], // prettier-ignore
    ['nanoseconds on the asking side', "'2001-03-05 10:00:00.000000999'::TIMESTAMP_NS", "TIMESTAMP '2001-03-05 10:00:00.000001'", null], // prettier-ignore
    ['whole seconds', "'2001-03-05 10:00:00'::TIMESTAMP_S", "TIMESTAMP '2001-03-05 10:00:00'", 7],
    ['dates', "TIMESTAMP '2001-03-05'", "DATE '2001-03-05'", 7],
  ])('%s: asked at %s, %s is %s', async (_, question, value, expected) => {
    expect(await joinTyped(question, value)).toBe(expected);
  });
});

test('an oracle that can be wrong is no oracle: it says what the rules say', () => {
  expect(fromMicros(base)).toBe('2001-03-25T00:00:00.000000Z');
  expect(answer(asked(5), one([row(0, 7, 1), row(0, 8, 9)], known))).toBe(7);
});
