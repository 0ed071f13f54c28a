import { readdir, rm, writeFile } from 'node:fs/promises';
import type { Materialized, MaterializeView } from '../../domain/features.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { getResource } from '../../store/resources.js';
import { ledger, type TableRef } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { dayOf, eventResources, eventsSql, rowsADay } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** Views that cannot be computed, on PostgreSQL, DuckDB and Temporal, over twenty days of a small file. */

const days = 20;
const range = { start: dayOf(1), end: dayOf(days + 1) };
const input = (revision = 1): MaterializeView => ({ project, view: 'place_day', revision, ...range, principal: 'ann' });
const workflowId = (revision = 1) => workflowIds.materialize(project, 'place_day', revision, range.start, range.end);

let world: World;
let path: string;
/** Each test has a project of its own. */
let project: ProjectName;
let table: TableRef;
let tests = 0;
beforeAll(async () => (world = await withWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  project = `test${++tests}` as ProjectName;
  table = { project, schema: 'features', name: 'place_day', revision: 1 };
  path = await world.write(`${project}.parquet`, eventsSql({ days }));
  await world.apply(eventResources({ path }), project);
});

const materialize = (revision = 1): Promise<Materialized> =>
  world.run('materializeView', workflowId(revision), input(revision));
const change = (sql: string) => world.write(`${project}.parquet`, eventsSql({ days, change: sql }));
const pinned = (name: string) => tables(world.db).resolve(project, 'features', name);
const staged = async () =>
  (await readdir(world.lake.root, { recursive: true })).filter(
    (name) => name.startsWith(`${project}/`) && name.endsWith('.parquet'),
  );

const declared = async (viewSql: string, more: object = {}) => {
  await world.apply(eventResources({ path, viewSql, ...more }), project);
  const { revision } = await getResource(world.db, project, 'FeatureView', 'place_day');
  return { fails: () => world.failure('materializeView', workflowId(revision), input(revision)), revision };
};
const nothing = async (revision: number) => {
  expect(await ledger(world.db, { ...table, revision }, { all: true })).toEqual([]);
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
  ['a missing feature', 'SELECT place, "at" AS event_time, a AS mean FROM events', /events/],
  ['a missing event time', 'SELECT place, a AS mean, 1 AS events FROM events', /event_time/],
  [
    'an event time that is no time',
    "SELECT place, 'noon' AS event_time, a AS mean, 1 AS events FROM events",
    /TIMESTAMP/,
  ],
])('%s fails with DuckDB’s sentence, and nothing is half-written', async (_, sql, message) => {
  const { fails, revision } = await declared(sql);
  expect(await fails()).toEqual({ code: 'query_failed', message: expect.stringMatching(message) });
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
  const { fails, revision } = await declared(
    `SELECT place, "at" AS event_time, ${mean} AS mean, 1 AS events FROM events`,
  );
  expect(await fails()).toEqual({
    code: 'lookback_too_short',
    message: expect.stringContaining('26h before the window'),
  });
  await nothing(revision);
});

test('a division by zero is what DuckDB says it is: NULL or infinity, committed as such', async () => {
  const { revision } = await declared('SELECT place, "at" AS event_time, a / 0 AS mean, id // 0 AS events FROM events');
  expect((await world.run('materializeView', workflowId(revision), input(revision))).committed).toBe(days);
  const { rows } = await pinned(`place_day@r${revision}`);
  expect(rows).toBe(days * rowsADay);
});

test.each([
  ['is missing', () => rm(path), 'source_missing'],
  ['is no Parquet', () => writeFile(path, 'x'.repeat(500)), 'source_unreadable'],
])('a source that %s fails as such', async (_, spoil, code) => {
  await spoil();
  expect(await world.failure('materializeView', workflowId(), input())).toMatchObject({ code });
  await nothing(1);
});

test('an unknown view or revision fails as such, a range of too many windows too', async () => {
  const failure = async (more: object) =>
    (await world.failure('materializeView', `bad/${project}`, { ...input(), ...more })).code;
  expect(await failure({ view: 'nothing' })).toBe('resource_unknown');
  expect(await failure({ revision: 9 })).toBe('resource_unknown');
  expect(await failure({ end: '2301-01-01T00:00:00.000000Z' })).toBe('request_invalid');
});

test('what failed goes on from what was committed once its source is mended', async () => {
  await materialize();
  await writeFile(path, 'nothing');
  expect((await world.failure('materializeView', workflowId(), input())).code).toBe('source_unreadable');
  await change('CASE WHEN i = 1010 THEN amount + 1 ELSE amount END');
  expect((await materialize()).committed).toBe(2);
});
