import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import { defaultProject as project } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { openErasure } from '../../store/erasures.js';
import { dayOf, eventsSql } from '../support/events.js';
import { serveApi } from '../support/served-api.js';
import { withWorld, type World } from '../support/world.js';
import { eider, type Ended } from './eider.js';

/** Snapshots, compaction, garbage collection and erasure as people ask for them: the commands of docs/snapshots.md, and REST. */

const days = 8;
let world: World;
let close: () => Promise<void>;
let url: string;
let run: (...args: string[]) => Promise<Ended>;
beforeAll(async () => {
  world = await withWorld();
  const api = await serveApi(world);
  url = api.url;
  run = eider(url);
  close = async () => {
    await api.close();
    await world.close();
  };
  const path = await world.write('flights.parquet', `SELECT * REPLACE (CASE place WHEN 'place-1' THEN 'ATL' ELSE place END AS place) FROM (${eventsSql({ days })})`); // prettier-ignore
  const view = {
    ...{ entity: 'origin', sources: ['flights'], lookback: '26h', window: '1d' },
    sql: `SELECT place AS origin, date_trunc('day', known_at) + INTERVAL 1 DAY AS event_time, avg(amount) AS late_rate FROM flights GROUP BY ALL`,
    features: [{ name: 'late_rate', type: 'DOUBLE' }],
  };
  const resources = [
    { kind: 'Source', name: 'flights', spec: { path, eventTime: 'at', knownAt: '"at" + INTERVAL 1 HOUR' } },
    { kind: 'Entity', name: 'origin', spec: { keys: [{ name: 'origin', type: 'VARCHAR' }] } },
    { kind: 'FeatureView', name: 'origin_hour', spec: view },
  ];
  await world.apply(resources.map((one) => Resource.parse(one)));
  await world.run('materializeView', 'm', {
    ...{ project, view: 'origin_hour', revision: 1, start: dayOf(1), end: dayOf(days + 1), principal: 'ann' },
  });
}, 120_000);
afterAll(() => close());

const page = readFileSync(join(projectRoot, 'docs/snapshots.md'), 'utf8');
const shown = [...page.matchAll(/^npx eider (.*)$/gm)].map(([, line = '']) => line);
const argumentsOf = (line: string) =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
const get = async <Body>(path: string) => (await (await fetch(`${url}/api/v1${path}`)).json()) as Body;

test('the page shows commands', () => expect(shown.length).toBeGreaterThan(5));

test('snapshots are found by number and by time over REST', async () => {
  const list = await get<{ items: { snapshot: number; committedAt: string; rowHash: string }[]; next: string }>('/features/origin_hour/snapshots?limit=3'); // prettier-ignore
  expect(list.items.map(({ snapshot }) => snapshot)).toEqual([days, days - 1, days - 2]);
  const second = list.items[1];
  for (const at of [days - 1, second?.committedAt])
    expect(await get(`/features/origin_hour/snapshots/${at}`)).toMatchObject({
      ...{ snapshot: days - 1, rowHash: second?.rowHash },
      flight: [project, 'features', `origin_hour@r1@s${days - 1}`],
    });
  expect(await get(`/features/origin_hour/snapshots?after=${list.next}`)).toMatchObject({
    items: { length: days - 3 },
  });
  expect(await get('/features/origin_hour/snapshots/99')).toMatchObject({ code: 'snapshot_unknown', status: 404 });
  expect(await get('/features/origin_hour/snapshots/2100-01-01')).toMatchObject({ code: 'snapshot_unknown' });
  expect(await get('/features/origin_hour/snapshots/yesterday')).toMatchObject({ code: 'request_invalid' });
});

test.each([
  ['another column', { key: { place: 'ATL' }, reason: 'r' }, 'request_invalid'],
  ['another type', { key: { origin: 1 }, reason: 'r' }, 'request_invalid'],
  ['no reason', { key: { origin: 'ATL' } }, 'request_invalid'],
])('an erasure with %s is refused', async (_, body, code) => {
  const answer = await fetch(`${url}/api/v1/entities/origin/erasures`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
  });
  expect([answer.status, await answer.json()]).toMatchObject([422, { code }]);
});

test.each(shown.filter((line) => !line.includes('ID')))('%s works as shown', async (line) => {
  const ended = await run(...argumentsOf(line));
  expect(ended).toMatchObject({ code: 0 });
  expect(ended.stdout.length).toBeGreaterThan(20);
});

test('the certificate of what was erased is shown, without the key', async () => {
  const { items } = JSON.parse((await run('get', 'erasures', '--json')).stdout) as { items: { id: string }[] };
  const { stdout, code } = await run('describe', 'erasure', items[0]?.id ?? '');
  expect(code).toBe(0);
  expect(stdout).toContain('eider-erasure/1');
  expect(stdout).not.toContain('ATL');
  expect(await get('/erasures/none')).toMatchObject({ code: 'erasure_unknown' });
});

test('an erasure that nobody runs is abandoned by command, and one that is done is not', async () => {
  const keys = [{ name: 'origin', type: 'VARCHAR' }];
  const { id } = await openErasure(world.db, { project, entity: 'origin', keys, values: ['place-2'], reason: 'r' }, anonymous); // prettier-ignore
  const { stdout, code } = await run('abandon', id, '--reason', 'nobody runs it');
  expect([code, stdout]).toEqual([0, expect.stringContaining(`${id} is abandoned. Nothing was erased`)]);
  expect(await get(`/erasures/${id}`)).toMatchObject({ status: 'abandoned', certificate: null });
  const { items } = await get<{ items: { id: string; status: string }[] }>('/erasures');
  const done = items.find(({ status }) => status === 'done')?.id ?? '';
  const answer = await fetch(`${url}/api/v1/erasures/${done}/abandon`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"reason": "r"}' },
  });
  expect([answer.status, await answer.json()]).toMatchObject([409, { code: 'erasure_ended' }]);
});
