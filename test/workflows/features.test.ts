import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities/index.js';
import type { MaterializeView } from '../../domain/features.js';
import type { ProjectName } from '../../domain/ids.js';
import { until } from '../../programs/waiting.js';
import { ledger } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { progressQuery } from '../../workflows/messages.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { days, placeDays, range } from '../support/place-days.js';

/** Materialization on PostgreSQL, DuckDB and Temporal, over twenty days of a small file. */

const { here, input, workflowId, materialize, change, commits, pinned, rowsOf, staged } = placeDays();
const rowsAt = (snapshot: number) => rowsOf(`place_day@s${snapshot}`);

test('the first time every window is committed once, and the ledger says what is in it', async () => {
  const made = await materialize();
  expect(made).toMatchObject({
    windows: days,
    committed: days,
    unchanged: 0,
    snapshot: days,
    reason: '20 never computed',
  });
  const rows = await commits();
  expect(rows.map(({ start }) => start)).toEqual(
    expect.arrayContaining(Array.from({ length: days }, (_, at) => dayOf(at + 1))),
  );
  expect(new Set(rows.map(({ start }) => start)).size).toBe(days);
  expect(rows.map(({ snapshot }) => snapshot)).toEqual(Array.from({ length: days }, (_, at) => at + 1));
  // The first day has no row: nothing was known before it. Each other one has a row for each of four places.
  expect((await ledger(here.world.db, here.table)).map((row) => row.rows)).toEqual([
    0,
    ...Array.from({ length: days - 1 }, () => 4),
  ]);
  for (const row of rows) {
    expect(row).toMatchObject({ workflowId: workflowId(), rowHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(row.bytes).toBeGreaterThan(0);
    expect(row.durationMs).toBeGreaterThan(0);
  }
  expect(await staged()).toHaveLength(days);
  const direct = await here.world.query(
    `SELECT place, count(*)::DOUBLE AS events FROM read_parquet('${here.path}') WHERE "at" + INTERVAL 1 HOUR >= '2001-01-05' AND "at" + INTERVAL 1 HOUR < '2001-01-06' GROUP BY ALL ORDER BY ALL`,
  );
  const served = (await rowsAt(days)) as { event_time: string; place: string; events: string }[];
  expect(
    served
      .filter((row) => row.event_time === '2001-01-06 00:00:00')
      .map(({ place, events }) => ({ place, events: Number(events) })),
  ).toEqual(direct);
});

test('again it does nothing and says why: by the files, and when these were touched by their rows', async () => {
  await materialize();
  const byFiles = await materialize();
  expect(byFiles).toMatchObject({ windows: days, committed: 0, unchanged: days, snapshot: days, rows: 0 });
  expect(byFiles.reason).toBe('nothing to do: no file of the sources changed since these windows were committed');
  await change('amount');
  expect((await materialize()).reason).toBe(
    'nothing to do: the rows that reach these 20 windows are the same as when they were committed',
  );
  expect((await materialize()).reason).toMatch(/no file of the sources changed/);
  expect(await commits()).toHaveLength(days);
  expect(await staged()).toHaveLength(days);
});

test('a changed row makes exactly the windows new that it reaches, and old snapshots read as before', async () => {
  await materialize();
  const before = await rowsAt(days);
  const hash = (await pinned('place_day')).rowHash;
  // Row 1010 lies on the eleventh day at 02:24: within that window, and within 26 hours before the next one's start.
  await change('CASE WHEN i = 1010 THEN amount + 1 ELSE amount END');
  const made = await materialize();
  expect(made).toMatchObject({
    committed: 2,
    unchanged: days - 2,
    snapshot: days + 2,
    reason: '2 reached by changed rows, 18 current',
  });
  expect(
    (await commits())
      .slice(days)
      .map(({ start }) => start)
      .sort(),
  ).toEqual([dayOf(11), dayOf(12)]);
  expect(await rowsAt(days)).toEqual(before);
  expect((await pinned(`place_day@s${days}`)).rowHash).toBe(hash);
  expect(await rowsAt(days + 2)).not.toEqual(before);
  expect((await pinned('place_day')).rowHash).not.toBe(hash);
});

test('what is changed and changed back ends at the first row hash, by new commits', async () => {
  await materialize();
  const hash = (await pinned('place_day')).rowHash;
  await change('CASE WHEN i = 1010 THEN amount + 1 ELSE amount END');
  await materialize();
  await change('amount');
  expect((await materialize()).committed).toBe(2);
  expect((await pinned('place_day')).rowHash).toBe(hash);
  expect(await commits()).toHaveLength(days + 4);
});

test('a row that only moves within its day changes what is computed from its time', async () => {
  await materialize();
  await here.world.write(
    `${here.project}.parquet`,
    `SELECT * REPLACE (CASE WHEN amount = (SELECT max(amount) FROM read_parquet('${here.path}')) THEN "at" + INTERVAL 1 MICROSECOND ELSE "at" END AS "at") FROM (${eventsSql({ days })})`,
  );
  const made = await materialize();
  expect(made.committed).toBeGreaterThanOrEqual(1);
  expect(made.committed).toBeLessThanOrEqual(3);
});

test('a range that begins and ends within windows takes them whole, and a range of none says so', async () => {
  const part = {
    ...input(),
    start: '2001-01-05T12:00:00.000000Z',
    end: '2001-01-07T00:00:00.000001Z',
  } as MaterializeView;
  expect(await here.world.run('materializeView', `part/${here.project}`, part)).toMatchObject({
    windows: 3,
    committed: 3,
  });
  const none = { ...input(), end: range.start };
  expect(await here.world.run('materializeView', `none/${here.project}`, none)).toMatchObject({
    windows: 0,
    reason: 'the range holds no window',
  });
});

test('a source that changes while it is read is planned again, and the result is that of its last state', async () => {
  const handle = await here.world.start('materializeView', workflowId(), input());
  let version = 0;
  const writer = (async () => {
    for (; version < 4; version++) await change(`amount + ${version}`);
  })();
  await writer;
  await handle.result();
  await materialize();
  const after = (await pinned('place_day')).rowHash;
  const fresh = { ...input(), project: `${here.project}_other` as ProjectName };
  await here.world.apply(eventResources({ path: here.path }), fresh.project);
  await here.world.run('materializeView', `fresh/${here.project}`, fresh);
  expect((await tables(here.world.db).resolve(fresh.project, 'features', 'place_day')).rowHash).toBe(after);
});

const step = <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>, ...args: Args) =>
  new MockActivityEnvironment({ workflowExecution: { workflowId: 'm', runId: 'r' } }).run(
    work,
    ...args,
  ) as Promise<Result>;

test('windows that are found current are so for the state that was compared, though the source was written anew just before', async () => {
  await materialize();
  await change('amount');
  const { engine } = here.world;
  const session: typeof engine.session = async (work, signal) => {
    await change('amount');
    return engine.session(work, signal);
  };
  const written = createActivities({ ...here.world, engine: { ...engine, session } });
  const plan = await step(written.planWindows, input());
  expect(plan).toMatchObject({ windows: [], found: { current: days } });
  const again = await step(createActivities(here.world).planWindows, input());
  expect(again).toMatchObject({ found: { untouched: days }, sourceVersion: plan.sourceVersion });
});

test('windows that were planned with another state of the source are refused, and leave nothing', async () => {
  const steps = createActivities(here.world);
  const plan = await step(steps.planWindows, input());
  await change('amount + 1');
  const stale = { ...input(), windows: plan.windows, sourceVersion: plan.sourceVersion };
  await expect(step(steps.materializeWindows, stale)).rejects.toMatchObject({ code: 'source_changed' });
  expect([await commits(), await staged()]).toEqual([[], []]);
  // Planned anew, it is done; what was planned on a head that moved since is refused as well.
  await materialize();
  await change('amount + 2');
  const { sourceVersion } = await step(steps.planWindows, input());
  await expect(step(steps.materializeWindows, { ...stale, sourceVersion })).rejects.toMatchObject({
    code: 'generation_moved',
  });
  expect(await commits()).toHaveLength(days);
});

test('two that do the same at once commit each window once', async () => {
  const both = await Promise.all(
    ['one', 'two'].map((id) => here.world.run('materializeView', `${id}/${here.project}`, input())),
  );
  expect(both.map(({ windows, snapshot }) => [windows, snapshot])).toEqual([[days, days], [days, days]]); // prettier-ignore
  const rows = await commits();
  expect(rows).toHaveLength(days);
  expect(new Set(rows.map(({ start }) => start)).size).toBe(days);
});

test('readers see a whole snapshot at every moment while windows are committed', async () => {
  await materialize();
  await change('amount + 1');
  const running = materialize();
  let done = false;
  void running.finally(() => (done = true));
  await until(
    async () => {
      const now = await pinned('place_day');
      expect([now.files.length, now.rows]).toEqual([days, 4 * (days - 1)]);
      const again = await tables(here.world.db).at(here.project, 'features', 'place_day', 1, now.snapshot);
      expect(again).toEqual(now);
      return done;
    },
    30_000,
    { everyMs: 10 },
  );
  await running;
});

test('operators see where it is: query, search attributes, and a card', async () => {
  const handle = await here.world.start('materializeView', workflowId(), input());
  await handle.result();
  expect(await handle.query(progressQuery)).toEqual({
    ...{ stage: 'done', done: days, total: days },
    detail: '20 of 20 windows committed, snapshot 20',
  });
  const { searchAttributes } = await handle.describe();
  expect(searchAttributes).toMatchObject({
    EiderProject: [here.project],
    EiderResource: ['FeatureView/place_day'],
    EiderStage: ['done'],
    EiderChain: [workflowId()],
  });
});
