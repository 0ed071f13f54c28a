import type { ExpectationResult } from '../../domain/expectations.js';
import { listExpectations } from '../../store/expectations.js';
import { dayOf, eventResources, rowsADay } from '../support/events.js';
import { days, placeDays } from '../support/place-days.js';

/** Expectations of a view, on every severity: what they refuse, what they only say, what they keep aside. */

const { here, materialize, fails, change, commits, pinned, rowsOf, staged, declare } = placeDays();

/** One row for each event: the view that expectations of rows are tried on. */
const each = 'SELECT place, "at" AS event_time, amount AS mean, id AS events FROM events';
const declareEach = (...expectations: object[]) => declare({ viewSql: each, expectations });
/** Row 1010 lies on the eleventh day. */
const spoiled = (value: string) => change(`CASE WHEN i = 1010 THEN ${value} ELSE amount END`);
const results = (revision: number, failed = false) =>
  listExpectations(here.world.db, { ...here.table, revision }, { failed, limit: 1000 });
const quarantine = () => rowsOf<{ reasons: string; place: string; mean: number }>('place_day', 'quarantine');

test('a window that breaks a blocking expectation is refused, the others are committed, and the workflow names it', async () => {
  await spoiled('NULL');
  const revision = await declareEach({ test: 'not_null', column: 'mean' });
  const failure = await fails(revision);
  expect(failure.code).toBe('expectation_failed');
  expect(failure.message).toBe(
    '1 of 20 windows were refused and 19 committed. 2001-01-11T00:00:00Z not_null(mean): 1 of 100 rows, such as place=place-2 event_time=2001-01-11 02:24:00.',
  );
  const starts = (await commits(revision)).map(({ start }) => start);
  expect(starts).toHaveLength(days - 1);
  expect(starts).not.toContain(dayOf(11));
  expect(await staged()).toHaveLength(days - 1);
  expect(await results(revision, true)).toMatchObject([
    { start: dayOf(11), commit: null, passed: false, rows: rowsADay, failed: 1, samples: [{ place: 'place-2' }] },
  ]);
  expect(await results(revision)).toHaveLength(days);
  // Mended, that window is left to do, and the next one, which the row reaches by the lookback.
  await change('amount');
  expect(await materialize(revision)).toMatchObject({ committed: 2, quarantined: 0 });
  expect(await results(revision, true)).toEqual([]);
});

test('a refused window keeps what it had, and the results say that it was refused', async () => {
  const revision = await declareEach({ test: 'range', column: 'mean', min: -1, max: 1 });
  await materialize(revision);
  const before = (await pinned('place_day')).rowHash;
  await spoiled('7');
  expect((await fails(revision)).code).toBe('expectation_failed');
  expect((await pinned('place_day')).rowHash).toBe(before);
  expect(await results(revision, true)).toMatchObject([{ start: dayOf(11), commit: null }]);
});

test('an expectation that only warns commits, and the ledger keeps the warning', async () => {
  await spoiled('NULL');
  const revision = await declareEach({ test: 'not_null', column: 'mean', severity: 'warn' });
  expect(await materialize(revision)).toMatchObject({ committed: days });
  const kept = await here.world.db.query<{ details: object }>(
    "SELECT details FROM commits WHERE project = $1 AND details ? 'expectations'",
    [here.project],
  );
  expect(kept).toEqual([
    {
      details: {
        distinct: true,
        expectations: ['not_null(mean): 1 of 100 rows, such as place=place-2 event_time=2001-01-11 02:24:00'],
      },
    },
  ]);
  expect(await results(revision, true)).toMatchObject([{ start: dayOf(11), commit: expect.any(Number) }]);
});

test.each<[string, object, string, string]>([
  ['a NULL', { test: 'not_null', column: 'mean' }, 'NULL', 'not_null(mean)'],
  ['a value out of range', { test: 'range', column: 'mean', max: 1 }, '1.5', 'range(mean)'],
  ['a NaN, which lies in no range,', { test: 'range', column: 'mean', min: -1 }, "'nan'::DOUBLE", 'range(mean)'],
  ['an infinity', { test: 'range', column: 'mean', max: 1 }, "'inf'::DOUBLE", 'range(mean)'],
])('%s is quarantined and the other rows are committed', async (_, expectation, value, reason) => {
  await spoiled(value);
  await declareEach({ ...expectation, severity: 'quarantine' });
  expect(await materialize(2)).toMatchObject({ committed: days, rows: days * rowsADay - 1, quarantined: 1 });
  expect(await quarantine()).toMatchObject([{ place: 'place-2', reasons: reason }]);
  expect(await rowsOf('place_day')).toHaveLength(days * rowsADay - 1);
});

test('a value outside of a domain is quarantined, a NULL is not', async () => {
  const mean = "CASE WHEN id = 1010 THEN 'c' WHEN id = 7 THEN NULL ELSE 'a' END";
  await declare({
    viewSql: `SELECT ${mean} AS place, "at" AS event_time, 1 AS mean, id AS events FROM events`,
    expectations: [{ test: 'domain', column: 'place', values: ['a', "b'"], severity: 'quarantine' }],
  });
  await materialize(2);
  expect(await quarantine()).toMatchObject([{ place: 'c', reasons: 'domain(place)' }]);
});

test('what is none of the declared type is quarantined with what it was, where it would fail the view otherwise', async () => {
  const viewSql = `SELECT place, "at" AS event_time, CASE WHEN id = 1010 THEN 'many' ELSE '1.5' END AS mean, id AS events FROM events`;
  const plain = await declare({ viewSql });
  expect(await fails(plain)).toMatchObject({ code: 'query_failed' });
  const revision = await declare({ viewSql, expectations: [{ test: 'type', column: 'mean', severity: 'quarantine' }] });
  expect(await materialize(revision)).toMatchObject({ quarantined: 1 });
  expect(await quarantine()).toMatchObject([{ mean: null, reasons: 'type(mean): many' }]);
  const blocked = await declare({ viewSql, expectations: [{ test: 'type', column: 'mean' }] });
  expect((await fails(blocked)).message).toContain('type(mean): 1 of 100 rows');
});

test('of rows with the same keys and event time the one that a join would take stays, the others are quarantined', async () => {
  await declare({
    viewSql: `SELECT place, date_trunc('day', "at") + INTERVAL 1 HOUR AS event_time, id AS mean, 1 AS events FROM events WHERE id < 300`,
    expectations: [{ test: 'unique', severity: 'quarantine' }],
  });
  await materialize(2);
  const stays = await rowsOf<{ mean: number }>('place_day');
  expect(stays.map(({ mean }) => mean)).toEqual([96, 196, 296, 97, 197, 297, 98, 198, 298, 99, 199, 299]);
  expect(await quarantine()).toHaveLength(300 - 12);
  expect((await pinned('place_day')).files).toHaveLength(days);
});

test('rows that break several expectations are quarantined once, with all reasons', async () => {
  await spoiled('NULL');
  await declareEach(
    { test: 'not_null', column: 'mean', severity: 'quarantine' },
    { test: 'range', column: 'events', max: 1009, severity: 'warn' },
    { test: 'range', column: 'events', max: 1500, severity: 'quarantine' },
  );
  await materialize(2);
  const rows = await quarantine();
  expect(rows).toHaveLength(500);
  expect(rows.filter(({ mean }) => mean === null).map(({ reasons }) => reasons)).toEqual(['not_null(mean); range(events)']); // prettier-ignore
});

test('a view may call its columns what it likes, and exactly the rows that break an expectation are quarantined', async () => {
  await spoiled('NULL');
  const names = ['w', 'f0', 'c0', 'row_id', 'window', 'rows', 'kept'];
  const revision = await declare({
    viewSql: each.replace(' FROM', `, ${names.map((name) => `id % 2 AS "${name}"`).join(', ')} FROM`),
    features: names.map((name) => ({ name, type: 'BIGINT' })),
    expectations: [{ test: 'not_null', column: 'mean', severity: 'quarantine' }],
  });
  expect(await materialize(revision)).toMatchObject({ rows: days * rowsADay - 1, quarantined: 1 });
  expect(await quarantine()).toMatchObject([{ place: 'place-2', mean: null }]);
  expect(await results(revision, true)).toMatchObject([{ start: dayOf(11), failed: 1, rows: rowsADay }]);
});

test('what is spoiled and mended again ends with an empty quarantine and the first row hash', async () => {
  await declareEach({ test: 'not_null', column: 'mean', severity: 'quarantine' });
  await materialize(2);
  const [clean, nothing] = [(await pinned('place_day')).rowHash, await quarantine()];
  expect(nothing).toEqual([]);
  await spoiled('NULL');
  await materialize(2);
  expect(await quarantine()).toHaveLength(1);
  await change('amount');
  await materialize(2);
  expect(await quarantine()).toEqual([]);
  expect((await pinned('place_day')).rowHash).toBe(clean);
  // An older snapshot of it still says what was kept aside then.
  const { snapshot } = await pinned('place_day', 'quarantine');
  expect(await rowsOf(`place_day@s${snapshot - 1}`, 'quarantine')).toHaveLength(1);
});

test('tests of the whole window look at the rows that are left to be committed', async () => {
  await change('CASE WHEN i % 2 = 0 THEN NULL ELSE amount END');
  const nulls = { test: 'null_share', column: 'mean', max: 0.4, severity: 'warn' };
  const volume = { test: 'volume', min: 60, severity: 'warn' };
  await declareEach(nulls, volume);
  await materialize(2);
  const found = (rows: readonly ExpectationResult[]) => rows.map(({ passed, value }) => [passed, value]);
  expect(found(await results(2)).slice(0, 2)).toEqual([[false, 0.5], [true, 100]]); // prettier-ignore
  await declareEach(nulls, volume, { test: 'not_null', column: 'mean', severity: 'quarantine' });
  await materialize(3);
  expect(found(await results(3)).slice(0, 3)).toEqual([[true, 0], [false, 50], [false, null]]); // prettier-ignore
});

test('freshness and volume judge empty windows too: as old as their start, and without rows', async () => {
  await declare({
    viewSql: `${each} WHERE id < 1000`,
    expectations: [
      { test: 'freshness', max: '1h', severity: 'warn' },
      { test: 'freshness', max: '1d', severity: 'warn' },
      { test: 'volume', max: 99, severity: 'warn' },
    ],
  });
  await materialize(2);
  const rows = (await results(2)).map(({ passed, value }) => [passed, value]);
  // The last row of a day lies 14 minutes and 24 seconds before its end.
  expect(rows.slice(0, 3)).toEqual([[true, 864], [true, 864], [false, 100]]); // prettier-ignore
  expect(rows.slice(30, 33)).toEqual([[false, 86_400], [true, 86_400], [true, 0]]); // prettier-ignore
});

test.each<[string, object, RegExp]>([
  ['of no column', { test: 'not_null', column: 'men' }, /the view has no column men/],
  ['of a range of texts', { test: 'range', column: 'place', max: 1 }, /"place" is VARCHAR, and a range is of numbers/],
  ['of a domain of another type', { test: 'domain', column: 'events', values: [1, 'x'] }, /"x" is no BIGINT/],
  ['of a missing event time', { test: 'not_null', column: 'event_time' }, /belongs to no window/],
])('an expectation %s is refused before it is applied', async (_, expectation, message) => {
  const resources = eventResources({ path: here.path, expectations: [expectation] });
  const problems = await here.world.run('checkResources', `check/${here.project}`, {
    project: here.project,
    resources,
  });
  expect(problems).toMatchObject([
    { kind: 'FeatureView', code: 'resource_invalid', detail: expect.stringMatching(message) },
  ]);
});

test('a few quarantined rows can be asked for without Flight, of a slice of event time', async () => {
  await declareEach({ test: 'range', column: 'events', max: 1500, severity: 'quarantine' });
  await materialize(2);
  const ask = { project: here.project, view: 'place_day', revision: 2, limit: 3 };
  const all = await here.world.run('readQuarantine', `q1/${here.project}`, ask);
  expect(all).toMatchObject({ total: 499, rows: [{ reasons: 'range(events)', events: '1501' }, {}, {}] });
  const day = await here.world.run('readQuarantine', `q2/${here.project}`, { ...ask, start: dayOf(20) });
  expect(day).toMatchObject({ total: 100, rows: [{ event_time: '2001-01-20 00:00:00' }, {}, {}] });
});
