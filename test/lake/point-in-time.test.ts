import fc from 'fast-check';
import { fromMicros } from '../../domain/instants.js';
import { joinModes } from '../../domain/point-in-time.js';
import { filesRelation, pointInTimeJoin, type JoinView } from '../../lake/point-in-time.js';
import { withLake, type TestLake } from '../support/lake.js';
import { base, expected, join, type Asked, type How } from './joined.js';
import { answer, type FeatureRow, type Keys, type OracleView, type SpineRow } from './oracle.js';

/** Features as they were known: every case against a plain definition of the rules, in oracle.ts. */

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const casesCount = process.env.EIDER_LONG ? 10_000 : 1_000;
const second = 1_000_000;

/** Few values, so that ties, NULLs and edges are common; instants at a distance of microseconds, and of whole seconds. */
const small = fc.constantFrom(-second - 1, -second, -3, -2, -1, 0, 1, 2, 3, second, second + 1);
const nullable = <Value>(of: fc.Arbitrary<Value>, weight = 6) => fc.option(of, { nil: null, freq: weight });
const keys = fc.tuple(nullable(fc.constantFrom(1, 12)), nullable(fc.constantFrom('2', '23', '')));
const number = nullable(fc.integer({ min: 0, max: 2 }));
const featureRow: fc.Arbitrary<FeatureRow> = fc.record({
  ...{ keys, at: nullable(small), known: nullable(small), value: number, other: number },
});
const spineRow: fc.Arbitrary<SpineRow> = fc.record({
  ...{ keys, elsewhere: keys, at: nullable(small, 12), passed: nullable(fc.constantFrom('x', '')) },
});
const view: fc.Arbitrary<OracleView> = fc.record({
  keyCount: fc.constantFrom(0, 1, 2),
  renamed: fc.boolean(),
  bitemporal: fc.boolean(),
  mode: fc.constantFrom(...joinModes),
  ttlMicros: fc.constantFrom(null, 0, 1, 2, 5, second - 1, second, second + 1),
  rows: fc.array(featureRow, { maxLength: 12 }),
});
const how: fc.Arbitrary<Required<How>> = fc.record({
  parts: fc.constantFrom(0, 1, 1, 3),
  staged: fc.boolean(),
  asked: fc.constantFrom<readonly Asked[]>(['value'], ['other'], ['other', 'value']),
  ranged: fc.boolean(),
});

test(`the join answers as the rules say in ${casesCount} cases`, async () => {
  const spines = fc.array(spineRow, { minLength: 1, maxLength: 8 });
  const cases = fc.record({ spine: spines, views: fc.array(view, { minLength: 1, maxLength: 3 }), how });
  await fc.assert(
    fc.asyncProperty(cases, async ({ spine, views, how: joined }) => {
      expect(await join(lake, spine, views, joined)).toEqual(expected(spine, views, joined.asked));
    }),
    { numRuns: casesCount },
  );
}, 1_800_000); // prettier-ignore

const hour = 3_600e6;
const row = (
  at: number | null,
  value: number | null,
  known: number | null = null,
  key: number | null = 1,
): FeatureRow => ({
  ...{ keys: [key, 'a'], at, value, known, other: null },
});
const one = (rows: FeatureRow[], more: Partial<OracleView> = {}): OracleView => ({
  ...{ keyCount: 1, renamed: false, bitemporal: false, mode: 'known_at', ttlMicros: null, rows },
  ...more,
});
const asked = (at: number | null, key: number | null = 1): SpineRow => ({
  ...{ keys: [key, 'a'], elsewhere: [2, 'b'], at, passed: 'p' },
});
const known = { bitemporal: true };
const valuesOf = async (spine: SpineRow[], views: OracleView[], more: How = {}) =>
  (await join(lake, spine, views, more)).map(({ values }) => values.flat());

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
  ['a late correction when the known-at is not looked at', one([row(0, 7, 1), row(0, 8, 9)], { ...known, mode: 'event_time' }), asked(5), 8], // prettier-ignore
  ['a late correction, as Feast has it', one([row(0, 7, 1), row(0, 8, 9)], { ...known, mode: 'feast' }), asked(5), 8],
  ['a TTL of a second and a half, as Feast has it', one([row(-second - 1, 7)], { ttlMicros: 1.5 * second, mode: 'feast' }), asked(0), null], // prettier-ignore
  ['a TTL of a second and a half', one([row(-second - 1, 7)], { ttlMicros: 1.5 * second }), asked(0), 7],
  ['a TTL of less than a second, as Feast has it', one([row(-hour, 7)], { ttlMicros: 0.5 * second, mode: 'feast' }), asked(0), 7], // prettier-ignore
  ['a TTL of nothing at all', one([row(-1, 7)], { ttlMicros: 0 }), asked(0), null],
  ['a view without entity', one([row(-2, 7, null, 3), row(-1, 8, null, null)], { keyCount: 0 }), asked(0, null), 8],
  ['a view without entity that looks at known-at', one([row(-2, 7, 0), row(-1, 8, 5)], { keyCount: 0, ...known }), asked(0), 7], // prettier-ignore
  [
    'a join by other columns of the spine',
    one([row(0, 7, null, 2), row(0, 8, null, 1)], { renamed: true }),
    asked(0),
    7,
  ],
  ['a join by other columns of the spine that are NULL', one([row(0, 7, null, null)], { renamed: true }), { ...asked(0), elsewhere: [null, null] }, null], // prettier-ignore
])('%s is answered rightly', async (_, of, question, value) => {
  expect(answer(question, of)?.value ?? null).toBe(value);
  expect(await join(lake, [question], [of])).toEqual([{ id: 0, passed: 'p', values: [[value]] }]);
});

test('composite keys that look alike when they are written one after the other are kept apart', async () => {
  const at = (keys: Keys, value: number): FeatureRow => ({ ...row(0, value), keys });
  const views = [one([at([1, '23'], 1), at([12, '3'], 2)], { keyCount: 2 })];
  const spine = ([[12, '3'], [1, '23']] as const).map((keys) => ({ ...asked(0), keys })); // prettier-ignore
  expect(await valuesOf(spine, views)).toEqual([[2], [1]]);
});

test.each([
  ['first', [null, 'a']],
  ['second', [1, null]],
] as const)('a NULL in the %s of two keys equals nothing, not even NULL', async (_, keys) => {
  expect(await valuesOf([{ ...asked(0), keys }], [one([{ ...row(0, 7), keys }], { keyCount: 2 })])).toEqual([[null]]);
});

test('every row of the spine comes out once, with what it carried: repeated rows too', async () => {
  const spine = [asked(0), asked(0), { ...asked(0), passed: null }, asked(-100)];
  const found = await join(lake, spine, [one([row(0, 7), row(0, 7)])]);
  expect(found.map(({ passed, values }) => [passed, values[0]?.[0]])).toEqual([['p', 7], ['p', 7], [null, 7], ['p', null]]); // prettier-ignore
});

test('three views with keys of their own are joined side by side', async () => {
  const views = [one([row(0, 1)]), one([row(0, 2)], { keyCount: 2 }), one([row(-9, 3)], { keyCount: 0, ttlMicros: 5 })];
  expect(await valuesOf([asked(0)], views)).toEqual([[1, 2, null]]);
});

test('the same view is joined twice, by columns of its own each', async () => {
  const rows = [row(0, 1, null, 1), row(0, 2, null, 2)];
  expect(await valuesOf([asked(0)], [one(rows), one(rows, { renamed: true })])).toEqual([[1, 2]]);
});

test('a tie is decided by the whole row, whichever features are asked for', async () => {
  const tied = [{ ...row(0, 1), other: 9 }, { ...row(0, 2), other: 3 }]; // prettier-ignore
  expect(await valuesOf([asked(0)], [one(tied)], { asked: ['value'] })).toEqual([[2]]);
  expect(await valuesOf([asked(0)], [one(tied)], { asked: ['other'] })).toEqual([[3]]);
  expect(await valuesOf([asked(0)], [one([...tied].reverse(), known)], { asked: ['other', 'value'] })).toEqual([[3, 2]]); // prettier-ignore
});

test('an empty spine gives no rows, and a view without files NULLs', async () => {
  expect(await join(lake, [], [one([row(0, 7)])])).toEqual([]);
  expect(await valuesOf([asked(0)], [one([])])).toEqual([[null]]);
});

test.each([false, true])('a view whose rows are known to be distinct is joined the same (bitemporal: %s)', async (bitemporal) => {
  const rows = Array.from({ length: 50 }, (_, at) => row(at, at, (at * 7) % 50));
  const spine = Array.from({ length: 60 }, (_, at) => asked(at - 5));
  const of = (distinct: boolean) => valuesOf(spine, [one(rows, { distinct, bitemporal })]);
  expect(await of(true)).toEqual(await of(false));
}); // prettier-ignore

test('chained joins give a NULL of the spine nothing, also without entity and by other columns', async () => {
  const rows = Array.from({ length: 200 }, (_, at) => row(at, at, at, at % 3));
  const views = [one(rows), one(rows, { keyCount: 0 }), one(rows, { renamed: true }), one(rows, { keyCount: 2, ...known })];
  const spine = Array.from({ length: 3000 }, (_, at): SpineRow => ({ ...asked(at % 5 === 0 ? null : at % 250, at % 7 === 0 ? null : at % 3), elsewhere: [at % 11 === 0 ? null : at % 3, 'a'] })); // prettier-ignore
  expect(await join(lake, spine, views)).toEqual(expected(spine, views));
}); // prettier-ignore

const literalView: JoinView = {
  ...{ name: 'v', relation: '', keys: [{ column: 'k0', type: 'INTEGER', spine: 'k0' }], eventTime: 'at', knownAt: null },
  ...{ ttlMicros: hour, features: [{ column: 'value', as: 'v__value' }], content: ['value'], mode: 'known_at', distinct: false },
}; // prettier-ignore

test('columns may be called what they are called inside of a join', async () => {
  const spine = `(SELECT 1 AS k0, TIMESTAMP '2001-03-05' AS asked, {'f0': 5, 'k0': 6} AS v0, 'kept' AS event_time)`;
  const view: JoinView = {
    ...literalView,
    relation: `(SELECT 1 AS f0, TIMESTAMP '2001-03-04 23:30' AS event_time, TIMESTAMP '2001-03-04 23:45' AS known_at, 7 AS visible_at, 8 AS k0, 9 AS f1)`,
    ...{ keys: [{ column: 'f0', type: 'INTEGER', spine: 'k0' }], eventTime: 'event_time', knownAt: 'known_at' },
    ...{ content: ['visible_at', 'k0', 'f1'], features: ['f1', 'k0', 'visible_at'].map((column) => ({ column, as: `v__${column}` })) }, // prettier-ignore
  };
  const found = await lake.query(`SELECT * FROM ${pointInTimeJoin(spine, 'asked', [view])}`);
  expect(found).toMatchObject([{ event_time: 'kept', v__f1: 9, v__k0: 8, v__visible_at: 7 }]);
});

test.each([
  ['a value without end in time', "TIMESTAMP '2001-03-05'", "'-infinity'::TIMESTAMP"],
  ['a question without end in time', "'infinity'::TIMESTAMP", "TIMESTAMP '2001-03-05'"],
])('%s matches nothing', async (_, question, at) => {
  const view = { ...literalView, ttlMicros: null, relation: `(SELECT 1 AS k0, ${at} AS "at", 7 AS value)` };
  const spine = `(SELECT 1 AS k0, ${question} AS asked)`;
  expect(await lake.query(`SELECT v__value FROM ${pointInTimeJoin(spine, 'asked', [view])}`)).toEqual([{ v__value: null }]); // prettier-ignore
});

describe('types of instants', () => {
  let typedFiles = 0;
  const joinTyped = async (question: string, value: string) => {
    const file = await lake.write(`typed-${typedFiles++}.parquet`, `SELECT 1 AS k0, ${value} AS "at", 7 AS value`);
    const typed = { ...literalView, relation: filesRelation([file], []) };
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
  expect(answer(asked(5), one([row(0, 7, 1), row(0, 8, 9)], known))?.value).toBe(7);
});
