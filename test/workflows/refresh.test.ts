import { rm } from 'node:fs/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities/index.js';
import { defaultProject as project, workflowIds, type Instant } from '../../domain/ids.js';
import { Resource } from '../../domain/resources.js';
import { OnlineAnswers } from '../support/online-answers.js';
import { anonymous } from '../../domain/principal.js';
import { until } from '../../programs/waiting.js';
import { rollBack } from '../../store/online-publish.js';
import { listGenerations } from '../../store/online.js';
import { withWorld, type World } from '../support/world.js';

/** Refreshing a view: everything that its sources have, found without a watermark, and shown online. */

let world: World;
let path: string;
beforeAll(async () => {
  world = await withWorld();
}, 120_000);
afterAll(() => world.close());

const end = '2026-02-01T00:00:00.000000Z' as Instant;
const view = 'taps';
const input = { project, view, revision: 1, start: null, end, principal: 'test' };
const id = workflowIds.refresh(project, view);

async function sourceHas(...rows: (readonly [place: string, at: string, open: number])[]): Promise<void> {
  const values = rows.map(([place, at, open]) => `('${place}', TIMESTAMP '${at}', ${open}::BIGINT)`).join(', ');
  const select =
    rows.length > 0 ? `SELECT * FROM (VALUES ${values})` : `SELECT '' , TIMESTAMP '2026-01-01', 0::BIGINT WHERE false`;
  path = await world.write('taps.parquet', `SELECT * FROM (${select}) t(place, tapped, open)`);
}

async function declare(more: object = {}): Promise<void> {
  const declared = [
    { kind: 'Source', name: 'taps_file', spec: { path, eventTime: 'tapped' } },
    { kind: 'Entity', name: 'place', spec: { keys: [{ name: 'place', type: 'VARCHAR' }] } },
    {
      kind: 'FeatureView',
      name: view,
      spec: {
        ...{ entity: 'place', sources: ['taps_file'], sql: 'SELECT place, tapped AS event_time, open FROM taps_file' },
        ...{ ...more, lookback: '1d', features: [{ name: 'open', type: 'BIGINT' }] },
      },
    },
  ];
  await world.apply(declared.map((one) => Resource.parse(one)));
}

const online = async (...places: string[]) => {
  const reader = new OnlineAnswers(world.db);
  const asked = { features: [`${view}:open`], entities: { place: places }, unpublished: 'empty' } as const;
  return (await reader.read(project, asked)).columns[0]?.values;
};

test('sources without a row make nothing, and nothing is online', async () => {
  await sourceHas();
  await declare();
  expect(await world.run('refreshView', id, input)).toEqual({
    ...{ view, revision: 1, start: null, end, materialized: null, published: null },
  });
  expect(await online('a')).toEqual([null]);
});

test('a first refresh begins with the first row', async () => {
  await sourceHas(['a', '2026-01-10', 1], ['b', '2026-01-12', 2]);
  const made = await world.run('refreshView', id, input);
  expect(made).toMatchObject({ start: '2026-01-10T00:00:00.000000Z', published: { generation: 1, rows: 2 } });
  expect(made.materialized?.windows).toBe(22);
  expect(await online('a', 'b')).toEqual([1, 2]);
});

test('a row that arrives late is found wherever it lies, and only the windows that it reaches are computed', async () => {
  await sourceHas(['c', '2025-12-30', 3], ['a', '2026-01-10', 1], ['b', '2026-01-12', 2], ['a', '2026-01-20', 9]);
  const made = await world.run('refreshView', id, input);
  expect(made.start).toBe('2025-12-30T00:00:00.000000Z');
  // Eleven days that were never looked at, and the 20th and 21st, which the new row reaches.
  expect(made.materialized).toMatchObject({ windows: 33, committed: 13 });
  expect(await online('a', 'b', 'c')).toEqual([9, 2, 3]);
});

test('rows from the end on are left for another time', async () => {
  const made = await world.run('refreshView', id, { ...input, end: '2025-12-31T00:00:00.000000Z' as Instant });
  expect(made.materialized).toMatchObject({ windows: 1, committed: 0 });
});

test('work that somebody else has under way is waited for, then done', async () => {
  const start = '2026-01-10T00:00:00.000000Z' as Instant;
  const range = { project, view, revision: 1, start, end, principal: 'test' };
  const key = workflowIds.materialize(project, view, 1, start, end);
  const other = await world.start('materializeView', key, range, 'nobody');
  const refresh = await world.start('refreshView', id, range);
  const stage = async () => (await refresh.describe()).searchAttributes['EiderStage']?.[0];
  expect(await until(async () => (await stage()) === 'materialize', 30_000)).toBe(true);
  await other.terminate();
  expect(await refresh.result()).toMatchObject({ materialized: { committed: 0 }, published: { rows: 3 } });
});

test('a new revision is shown online when it reaches as far as the one that is live, not before', async () => {
  await declare({ ttl: '9000d', online: true });
  const second = { ...input, revision: 2 };
  const asked = { project, view, revision: 2 };
  const steps = createActivities(world);
  const half = await world.run('refreshView', id, { ...second, start: '2026-01-15T00:00:00.000000Z' as Instant });
  expect(half).toMatchObject({ materialized: { committed: 17 }, published: null });
  expect(await steps.isShownOnline(asked)).toBe(false);
  expect(await online('a', 'b', 'c')).toEqual([9, 2, 3]);
  expect(await world.run('refreshView', id, second)).toMatchObject({ published: { revision: 2, rows: 3 } });
  // It is there now.
  expect(await steps.isShownOnline(asked)).toBe(false);
  expect(await online('a', 'b', 'c')).toEqual([9, 2, 3]);
});

const generations = async () => (await listGenerations(world.db, project, view)).map(({ generation }) => generation);
const idle = async () => {
  const publishing = world.client.workflow.getHandle(workflowIds.publish(project, view));
  return (await publishing.describe()).status.name !== 'RUNNING';
};

test('a refresh that commits publishes once, although the view is to be online by itself', async () => {
  const [newest = 0] = await generations();
  await sourceHas(['c', '2025-12-30', 3], ['a', '2026-01-10', 1], ['b', '2026-01-12', 2], ['a', '2026-01-20', 10]);
  const made = await world.run('refreshView', id, { ...input, revision: 2 });
  expect(made).toMatchObject({ materialized: { committed: 2 }, published: { generation: newest + 1 } });
  expect(await until(idle, 10_000)).toBe(true);
  expect((await generations())[0]).toBe(newest + 1);
});

test('a materialization that commits nothing publishes what was committed and never shown, once, and no roll-back is undone', async () => {
  const range = { start: '2025-12-30T00:00:00.000000Z' as Instant, end };
  const materialize = (more: object = {}) =>
    world.run('materializeView', `m/${view}`, { project, view, revision: 2, ...range, principal: 'test', ...more });
  await sourceHas(['c', '2025-12-30', 3], ['a', '2026-01-10', 1], ['b', '2026-01-12', 2], ['a', '2026-01-20', 11]);
  // As if it had died before it came to it.
  expect(await materialize({ publish: false })).toMatchObject({ committed: 2 });
  expect(await online('a')).toEqual([10]);
  expect(await materialize()).toMatchObject({ committed: 0 });
  expect(await until(async () => (await online('a'))?.[0] === 11, 20_000)).toBe(true);
  expect(await until(idle, 10_000)).toBe(true);
  const [newest = 0] = await generations();
  await rollBack(world.db, project, view, 'looks wrong', anonymous);
  expect(await materialize()).toMatchObject({ committed: 0 });
  expect((await generations())[0]).toBe(newest);
  expect(await online('a')).toEqual([10]);
});

test('a row too old for all windows since to be taken at once does not keep the others from being refreshed', async () => {
  await sourceHas(['d', '1700-01-01', 4], ['c', '2025-12-29', 3]);
  const { refreshStart } = createActivities(world);
  expect(await new MockActivityEnvironment().run(refreshStart, { ...input, revision: 2 })).toEqual({
    start: '2025-12-29T00:00:00.000000Z',
  });
});

test('when the source is gone the refresh says so, and what is online stays', async () => {
  await rm(path);
  expect(await world.failure('refreshView', id, { ...input, revision: 2 })).toMatchObject({ code: 'source_missing' });
  expect(await online('a', 'b', 'c')).toEqual([10, 2, 3]);
});
