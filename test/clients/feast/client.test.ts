import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../../apps/config.js';
import { searchAttributes, workflowIds, type Instant } from '../../../domain/ids.js';
import { until } from '../../../programs/waiting.js';
import { project, viewNames } from './rides.js';
import { post, startServed, type Served } from './served.js';

/** Feast's client as it is, with `online_store: {type: remote}` and Eider behind it. */

const startMs = 600_000;
const start = '2026-01-01T00:00:00.000000Z' as Instant;
const end = '2026-02-01T00:00:00.000000Z' as Instant;
const range = { start: '2026-01-01T00:00:00', end: '2026-02-01T00:00:00' };

interface Got {
  readonly values: Record<string, unknown[]>;
  readonly statuses: number[][];
  readonly versions: Record<string, number>;
}
// feast.serving.FieldStatus
const [present, nullValue, notFound, outsideMaxAge] = [1, 2, 3, 4];

let served: Served;
const get = (values: object) => served.feast.ask<Got>('get', values);
beforeAll(async () => {
  served = await startServed();
  await served.feast.ask('materialize', range);
}, startMs);
afterAll(() => served?.stop());

test('materialize() starts our workflows, which are found by their ids and by what they are about', async () => {
  const { client } = served.world;
  for (const view of viewNames) {
    const ids = [
      workflowIds.refresh(project, view),
      workflowIds.materialize(project, view, 1, start, end),
      workflowIds.publish(project, view),
    ];
    for (const id of ids)
      expect(await client.workflow.getHandle(id).describe()).toMatchObject({ status: { name: 'COMPLETED' } });
  }
  const query = `${searchAttributes.resource} = "FeatureView/fleet" AND ExecutionStatus = "Completed"`;
  const types = async () => {
    const found: string[] = [];
    for await (const { type } of client.workflow.list({ query })) found.push(type);
    return found.sort();
  };
  expect(await until(async () => (await types()).length >= 3, 15_000)).toBe(true);
  expect(await types()).toEqual(['materializeView', 'publishView', 'refreshView']);
});

test('get_online_features() returns what the files hold, and says what is NULL, missing or too old', async () => {
  const features = ['conv_rate', 'trips', 'note', 'active', 'last_seen'].map((name) => `driver_stats:${name}`);
  const { values, statuses } = await get({
    features,
    rows: [{ driver_id: 1001 }, { driver_id: 1004 }, { driver_id: 9 }],
  });
  expect(values).toEqual({
    driver_id: [1001, 1004, 9],
    conv_rate: [Math.fround(0.1), null, null],
    trips: [7, null, null],
    note: ['hello', null, null],
    active: [true, null, null],
    last_seen: [1767330367, null, null],
  });
  expect(statuses).toEqual([[present, present, present], ...features.map(() => [present, nullValue, notFound])]);
  const old = await get({ features: ['driver_day:trips'], rows: [{ driver_id: 1001 }] });
  expect([old.values['trips'], old.statuses[1]]).toEqual([[null], [outsideMaxAge]]);
});

test('composite keys, views without entity, services, full names and revisions reach the client', async () => {
  const features = ['pair_stats:rides', 'pair_stats:rating', 'fleet:price'];
  const rows = [
    { driver_id: 1001, customer_id: 'a' },
    { driver_id: 1001, customer_id: 'b' },
  ];
  expect((await get({ features, rows })).values).toEqual({
    ...{ driver_id: [1001, 1001], customer_id: ['a', 'b'] },
    ...{ rides: [5, null], rating: [4.5, null], price: [2.5, 2.5] },
  });
  const service = { service: 'ride_inputs', rows: [{ driver_id: 1001, who: 1002, customer_id: 'b' }] };
  expect((await get({ ...service, full: true, versions: true })).values).toMatchObject({
    ...{ driver_stats__conv_rate: [Math.fround(0.1)], driver_stats__trips: [7] },
    ...{ pair__rides: [6], fleet__price: [2.5] },
  });
  expect((await get({ ...service, versions: true })).versions).toEqual({ driver_stats: 1, pair_stats: 1, fleet: 1 });
});

test('errors become the client’s own exceptions, with our words where Feast has none', async () => {
  const rows = [{ driver_id: 1001 }];
  const refused = (features: string[]) => served.feast.refusal('get', { features, rows });
  expect(await refused(['nothing:x'])).toMatchObject({
    type: 'FeatureViewNotFoundException',
    message: 'Feature view nothing does not exist in project rides',
  });
  expect(await refused(['driver_stats:trips', 'driver_day:trips'])).toMatchObject({
    type: 'FeatureNameCollisionError',
  });
  expect(await refused(['driver_stats:nothing'])).toMatchObject({
    type: 'FeastError',
    message: expect.stringMatching(/^Feature nothing not found in projection driver_stats/) as string,
  });
});

const at = '2026-01-09T10:00:00.250000+00:00';
const row = (driver: number, trips: number | null, event = at) => ({
  ...{ driver_id: [driver], event_timestamp: [event], created: [event], conv_rate: [0.5], acc_rate: [1.5] },
  ...{ trips: [trips], balance: [3], note: ['new'], active: [false], last_seen: [event] },
});
const times = ['event_timestamp', 'created', 'last_seen'];

test('write_to_online_store() and push() are read back at once, and older rows do not win', async () => {
  const ask = (what: string, df: object) => served.feast.ask(what, { view: 'driver_stats', df, times });
  await ask('write', row(3001, 11));
  await ask('push', row(3002, 12));
  await ask('write', row(3001, 5, '2026-01-08T00:00:00+00:00'));
  const features = ['driver_stats:trips', 'driver_stats:last_seen', 'driver_stats:active'];
  const { values } = await get({ features, rows: [{ driver_id: 3001 }, { driver_id: 3002 }] });
  const seconds = Math.floor(Date.parse(at) / 1000);
  expect(values).toMatchObject({ trips: [11, 12], last_seen: [seconds, seconds], active: [false, false] });
});

test('what was written outlives a materialization, and a corrected row of the same time is applied', async () => {
  await served.feast.ask('write', { view: 'driver_stats', df: row(3003, 1), times });
  await served.feast.ask('write', { view: 'driver_stats', df: row(3003, 2), times });
  await served.feast.ask('materialize', { ...range, views: ['driver_stats'] });
  const { values } = await get({ features: ['driver_stats:trips'], rows: [{ driver_id: 3003 }, { driver_id: 1001 }] });
  expect(values['trips']).toEqual([2, 7]);
});

test('materialize_incremental() needs no range: what arrived since is online, whatever its time', async () => {
  const { world, feast } = served;
  const old = `SELECT * FROM read_parquet('${join(world.home, 'data', 'fleet.parquet')}')`;
  const changed = await world.query<{ event_timestamp: unknown }>(old);
  expect(changed).toHaveLength(1);
  const sooner = `TIMESTAMPTZ '2025-06-01 00:00:00+00'`;
  const time = `TIMESTAMPTZ '2026-01-02 12:00:00+00'`;
  await world.write(
    'fleet.parquet',
    `SELECT * FROM (VALUES (${sooner}, ${sooner}, 1.0::DOUBLE), (${time}, ${time}, 7.5)) t(event_timestamp, created, price)`,
  );
  await feast.ask('materialize_incremental', { end: '2026-02-01T00:00:00', views: ['fleet'] });
  expect((await get({ features: ['fleet:price'], rows: [{ driver_id: 1 }] })).values['price']).toEqual([7.5]);
  const refreshed: unknown = await world.client.workflow.getHandle(workflowIds.refresh(project, 'fleet')).result();
  expect(refreshed).toMatchObject({ start: '2025-06-01T00:00:00.000000Z', end });
});

/** A refresh that no worker ever takes up. */
const stuck = (view: string) =>
  served.world.start(
    'refreshView',
    workflowIds.refresh(project, view),
    { project, view, revision: 1, start, end, principal: 'test' },
    'nobody',
  );

test('while a view is materialized another asynchronous call is a conflict, unless it is forced', async () => {
  const { runId } = await (await stuck('driver_day')).describe();
  const options = { run_async: true };
  const asked = { ...range, views: ['driver_day'], options };
  expect(await served.feast.refusal('materialize', asked)).toMatchObject({
    type: 'RuntimeError',
    message: expect.stringMatching(/conflict \(409\): .*already in MATERIALIZING state: \['driver_day'\]/) as string,
  });
  await served.feast.ask('materialize', { ...asked, options: { run_async: true, force: true } });
  const { workflow } = served.world.client;
  const id = workflowIds.refresh(project, 'driver_day');
  expect(await workflow.getHandle(id, runId).describe()).toMatchObject({ status: { name: 'TERMINATED' } });
  const anew = workflow.getHandle(id);
  expect(await anew.result()).toMatchObject({ view: 'driver_day', published: { rows: 1 } });
});

test('an asynchronous call is answered with the workflows that do it', async () => {
  const body = { start_ts: range.start, end_ts: range.end, feature_views: ['driver_day'] };
  const answer = await post(served.url, '/materialize?async=true', body);
  const workflowId = workflowIds.refresh(project, 'driver_day');
  expect(answer).toMatchObject({
    status: 202,
    headers: { 'eider-workflows': workflowId },
    body: { status: 'accepted', feature_views: ['driver_day'], workflows: [{ view: 'driver_day', workflowId }] },
  });
  await served.world.client.workflow.getHandle(workflowId).result();
});

test('a call that waits begins when what is under way has ended', async () => {
  const handle = await stuck('driver_day');
  const called = served.feast.ask('materialize', { ...range, end: '2026-03-01T00:00:00', views: ['driver_day'] });
  await handle.terminate();
  await called;
  const done: unknown = await served.world.client.workflow
    .getHandle(workflowIds.refresh(project, 'driver_day'))
    .result();
  expect(done).toMatchObject({ end: '2026-03-01T00:00:00.000000Z' });
});

test('eider refresh starts the same workflow', async () => {
  const args = ['refresh', 'driver_day', '--project', project, '--end', end, '--wait', '--json'];
  const env = { ...process.env, EIDER_URL: served.root };
  const { stdout } = await promisify(execFile)(process.execPath, [join(projectRoot, 'bin', 'eider.js'), ...args], {
    env,
  });
  expect(JSON.parse(stdout)).toMatchObject({
    workflowId: workflowIds.refresh(project, 'driver_day'),
    result: { start: '2026-01-01T00:00:00.000000Z', materialized: { committed: 0 }, published: { rows: 1 } },
  });
});

test('a materialization that fails says why', async () => {
  await rm(join(served.world.home, 'data', 'pair_stats.parquet'));
  const refused = await served.feast.refusal('materialize', { ...range, views: ['pair_stats'] });
  expect(refused).toMatchObject({
    type: 'RuntimeError',
    message: expect.stringMatching(/materialization failed \(500\): .*pair_stats\.parquet.*source_missing/) as string,
  });
  // What was online stays.
  const rows = [{ driver_id: 1001, customer_id: 'a' }];
  expect((await get({ features: ['pair_stats:rides'], rows })).values['rides']).toEqual([5]);
});

test('whoever waits when the API stops is told so, and the work goes on', async () => {
  const { world, root, url } = served;
  await world.stopWorker();
  const body = { start_ts: range.start, end_ts: '2026-04-01', feature_views: ['fleet'] };
  const answered = post(url, '/materialize', body);
  const state = () => world.client.workflow.getHandle(workflowIds.refresh(project, 'fleet')).describe();
  expect(await until(async () => (await state()).status.name === 'RUNNING', 15_000)).toBe(true);
  await served.stopApi();
  expect(await answered).toMatchObject({
    status: 503,
    body: expect.stringMatching(/The workflow refresh\/rides\/fleet goes on/) as string,
  });
  expect((await state()).status.name).toBe('RUNNING');
  await expect(fetch(`${root}/health`)).rejects.toThrow();
});
