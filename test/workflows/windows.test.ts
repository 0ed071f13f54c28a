import { Resource } from '../../domain/resources.js';
import { mergeStatistics, quantile, type ColumnStatistics } from '../../domain/statistics.js';
import { countStatistics, statisticsPages } from '../../store/statistics.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { days, placeDays } from '../support/place-days.js';

/** What windows are made of: late rows, none, many, strange ones; and what is known of them afterwards. */

const { here, materialize, input, change, commits, pinned, rowsOf, declare } = placeDays();
const each = 'SELECT place, "at" AS event_time, amount AS mean, id AS events FROM events';
const isLong = process.env['EIDER_LONG'] !== undefined;

test.each([2, 7, 19])(
  'a row that comes late for day %i is found, and only the windows that it reaches are redone',
  async (day) => {
    await materialize();
    const before = (await commits()).length;
    const late = `SELECT TIMESTAMP '2001-01-${String(day).padStart(2, '0')} 03:00:00' AS "at", 'place-0' AS place, 0.5 AS a, 0.5 AS b, 9 AS amount, true AS happened`;
    await here.world.write(
      `${here.project}.parquet`,
      `${eventsSql({ days }).replace('ORDER BY i', '')} UNION ALL ${late} ORDER BY 1`,
    );
    // Rows are numbered, so a row in between gives all later ones another number; the view does not read it, the print does.
    const made = await materialize();
    expect(made.committed).toBeGreaterThanOrEqual(2);
    expect(
      (await commits())
        .slice(before)
        .map(({ start }) => start)
        .sort()[0],
    ).toBe(dayOf(day));
    const fresh = { ...input(), project: `${here.project}_other` as typeof here.project };
    await here.world.apply(eventResources({ path: here.path }), fresh.project);
    await here.world.run('materializeView', `fresh/${here.project}`, fresh);
    const { db } = here.world;
    const hashes = await db.query<{ project: string; row_hash: string }>(
      'SELECT c.project, c.row_hash FROM window_heads h JOIN commits c ON c.id = h.commit_id WHERE c.project = ANY($1) ORDER BY c.project, c.window_start',
      [[here.project, fresh.project]],
    );
    const of = (project: string) => hashes.filter((one) => one.project === project).map((one) => one.row_hash);
    expect(of(here.project)).toEqual(of(fresh.project));
  },
);

test('NaN, infinities and NULL are kept as they are, twice the same row twice', async () => {
  const strange = "[NULL, 'nan'::DOUBLE, 'inf'::DOUBLE, '-inf'::DOUBLE, -0.0]";
  await declare({
    viewSql: `SELECT place, "at" AS event_time, ${strange}[id % 5 + 1] AS mean, 1 AS events FROM events, range(2)`,
  });
  await materialize(2);
  const rows = await rowsOf<{ mean: unknown }>('place_day');
  expect(rows).toHaveLength(2 * days * 100);
  const counted = new Map<string, number>();
  for (const { mean } of rows) counted.set(String(mean), (counted.get(String(mean)) ?? 0) + 1);
  expect(Object.fromEntries(counted)).toEqual({ null: 800, NaN: 800, Infinity: 800, '-Infinity': 800, '0': 800 });
  const { details } = (await here.world.db.query<{ details: { distinct: boolean } }>('SELECT details FROM commits WHERE project = $1 AND revision = 2 LIMIT 1', [here.project]))[0] ?? { details: null }; // prettier-ignore
  expect(details).toEqual({ distinct: false });
});

test('instants that a view yields as text keep their offset, and lie in the window that they fall in', async () => {
  const materialized = async (eventTime: string) => {
    const revision = await declare({
      viewSql: `SELECT place, ${eventTime} AS event_time, amount AS mean, id AS events FROM events`,
    });
    await materialize(revision);
    return rowsOf('place_day');
  };
  const rows = await materialized(`"at" + INTERVAL 2 HOUR`);
  expect(await materialized(`strftime("at", '%Y-%m-%dT%H:%M:%S.%f-02:00')`)).toEqual(rows);
});

test('a view without keys holds for everybody, and windows without a row are committed as such', async () => {
  const [source, , view] = eventResources({ path: here.path });
  const { entity: _, ...spec } = (view as Extract<Resource, { kind: 'FeatureView' }>).spec;
  const sql = `SELECT date_trunc('day', known_at) AS event_time, avg(amount) AS mean, count(*) AS events FROM events WHERE id < 500 GROUP BY ALL`;
  const keyless = Resource.parse({ ...view, name: 'all_day', spec: { ...spec, sql } });
  await here.world.apply([source as Resource, keyless], here.project);
  const made = await here.world.run('materializeView', `all/${here.project}`, { ...input(), view: 'all_day' });
  expect(made).toMatchObject({ committed: days, rows: 6 });
  expect((await pinned('all_day')).columns.map(({ name }) => name)).toEqual(['event_time', 'mean', 'events']);
});

test('statistics of windows add up to those of the view, and follow what is committed', async () => {
  await declare({ viewSql: each });
  await materialize(2);
  const table = { ...here.table, revision: 2 };
  const sum = async (between = {}) => {
    const pages: (readonly ColumnStatistics[])[] = [];
    for await (const page of statisticsPages(here.world.db, table, between)) pages.push(...page);
    return mergeStatistics(pages) ?? [];
  };
  expect(await countStatistics(here.world.db, table, {})).toEqual({ windows: days, measured: days });
  const [mean, events] = await sum();
  expect([mean?.rows, events?.min, events?.max]).toEqual([2000, 0, 1999]);
  expect(Math.abs((quantile(events as ColumnStatistics, 0.5) ?? 0) / 999 - 1)).toBeLessThanOrEqual(0.005);
  expect((await sum({ start: dayOf(3), end: dayOf(4) }))[1]).toMatchObject({ rows: 100, min: 200, max: 299 });
  await change('CASE WHEN i = 250 THEN NULL ELSE amount END');
  await materialize(2);
  expect((await sum())[0]).toMatchObject({ rows: 2000, nulls: 1 });
});

test('a window of very many keys is one window, in bounded memory', async () => {
  const keys = isLong ? 1_000_000 : 50_000;
  const big = `SELECT TIMESTAMP '2001-01-05' + to_microseconds(i) AS "at", 'place-' || i AS place, 0.5 AS a, 0.5 AS b, i::DOUBLE AS amount, true AS happened FROM range(${keys}) t(i)`;
  await here.world.write(`${here.project}.parquet`, big);
  await declare({ viewSql: each, expectations: [{ test: 'unique' }, { test: 'not_null', column: 'mean' }] });
  const began = performance.now();
  const day = { ...input(2), start: dayOf(5), end: dayOf(6) };
  expect(await here.world.run('materializeView', `big/${here.project}`, day)).toMatchObject({ windows: 1, rows: keys });
  // A million take 2 s on two cores; the engine of the tests has 1 GB, and would fail beyond it.
  expect(performance.now() - began).toBeLessThan(isLong ? 120_000 : 30_000);
  expect((await pinned('place_day')).rows).toBe(keys);
}, 180_000);
