import { rm, writeFile } from 'node:fs/promises';
import { rowsADay } from '../support/events.js';
import { days, placeDays } from '../support/place-days.js';

/** Views that cannot be computed, on PostgreSQL, DuckDB and Temporal, over twenty days of a small file. */

const { here, input, workflowId, materialize, fails, change, commits, pinned, staged, declare } = placeDays();

const nothing = async (revision: number) => {
  expect(await commits(revision)).toEqual([]);
  expect(await staged()).toEqual([]);
};

test.each([
  [
    'a cast of a text that is no number',
    'SELECT place, "at" AS event_time, (\'x\' || a)::DOUBLE AS mean, 1 AS events FROM events',
    /Could not convert string/,
  ],
  [
    'a number too large for its declared type',
    'SELECT place, "at" AS event_time, a AS mean, 1e30 AS events FROM events',
    /out of range|cast/,
  ],
  [
    'an integer that overflows',
    'SELECT place, "at" AS event_time, a AS mean, 9223372036854775807 + (id + 1) AS events FROM events',
    /Overflow/,
  ],
  [
    'an event time that is no time',
    "SELECT place, 'noon' AS event_time, a AS mean, 1 AS events FROM events",
    /"noon"/,
  ],
])('%s fails with DuckDB’s sentence, and nothing is half-written', async (_, sql, message) => {
  const revision = await declare({ viewSql: sql });
  expect(await fails(revision)).toEqual({ code: 'query_failed', message: expect.stringMatching(message) });
  await nothing(revision);
});

// The SQL was tried when it was applied, so what it no longer finds has gone from its sources.
test.each([
  ['a missing feature', 'SELECT place, "at" AS event_time, a AS mean FROM events', /events/],
  ['a missing event time', 'SELECT place, a AS mean, 1 AS events FROM events', /event_time/],
])('%s fails as a source that changed its columns, with DuckDB’s sentence', async (_, sql, message) => {
  const revision = await declare({ viewSql: sql });
  expect(await fails(revision)).toEqual({ code: 'source_schema_changed', message: expect.stringMatching(message) });
  await nothing(revision);
});

test.each([
  ['sees everything', 'avg(a) OVER ()'],
  ['sees the next row', 'lead(a) OVER (PARTITION BY place ORDER BY "at")'],
  [
    'looks three days back with a lookback of 26 hours',
    'sum(a) OVER (PARTITION BY place ORDER BY "at" RANGE BETWEEN INTERVAL 3 DAY PRECEDING AND CURRENT ROW)',
  ],
])('a view that %s is refused, and nothing is half-written', async (_, mean) => {
  const revision = await declare({
    viewSql: `SELECT place, "at" AS event_time, ${mean} AS mean, 1 AS events FROM events`,
  });
  expect(await fails(revision)).toEqual({
    code: 'lookback_too_short',
    message: expect.stringContaining('26h before the window'),
  });
  await nothing(revision);
});

test('a division by zero is what DuckDB says it is: NULL or infinity, committed as such', async () => {
  const revision = await declare({
    viewSql: 'SELECT place, "at" AS event_time, a / 0 AS mean, id // 0 AS events FROM events',
  });
  expect((await here.world.run('materializeView', workflowId(revision), input(revision))).committed).toBe(days);
  const { rows } = await pinned(`place_day@r${revision}`);
  expect(rows).toBe(days * rowsADay);
});

test.each([
  ['is missing', () => rm(here.path), 'source_missing'],
  ['is no Parquet', () => writeFile(here.path, 'x'.repeat(500)), 'source_unreadable'],
])('a source that %s fails as such', async (_, spoil, code) => {
  await spoil();
  expect(await fails()).toMatchObject({ code });
  await nothing(1);
});

test('an unknown view or revision fails as such, a range of too many windows too', async () => {
  const failure = async (more: object) =>
    (await here.world.failure('materializeView', `bad/${here.project}`, { ...input(), ...more })).code;
  expect(await failure({ view: 'nothing' })).toBe('resource_unknown');
  expect(await failure({ revision: 9 })).toBe('resource_unknown');
  expect(await failure({ end: '2301-01-01T00:00:00.000000Z' })).toBe('request_invalid');
});

test('what failed goes on from what was committed once its source is mended', async () => {
  await materialize();
  await writeFile(here.path, 'nothing');
  expect((await fails()).code).toBe('source_unreadable');
  await change('CASE WHEN i = 1010 THEN amount + 1 ELSE amount END');
  expect((await materialize()).committed).toBe(2);
});
