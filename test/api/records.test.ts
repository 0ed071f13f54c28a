import { sha256 } from '../../domain/json.js';
import type { Page } from '../../apps/api/paging.js';
import type { LedgerRow } from '../../domain/features.js';
import { day, staged } from '../store/samples.js';
import { withApi, type TestApi } from './api.js';
import { leaveRecords, monitor, set } from './records.js';

let api: TestApi;
const runs: string[] = [];

beforeAll(async () => {
  api = await withApi();
  runs.push(...(await leaveRecords(api.db, api.home)));
});
afterAll(() => api.close());

const get = async <Body>(path: string): Promise<Body> => {
  const { status, body, text } = await api.call<Body>('GET', `/api/v1${path}`);
  if (status !== 200) throw new Error(text);
  return body;
};
async function pages<Item>(path: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let after = ''; ;) {
    const page: Page<Item> = await get(`${path}${path.includes('?') ? '&' : '?'}limit=1${after}`);
    expect(page.items.length).toBeLessThanOrEqual(1);
    items.push(...page.items);
    if (page.next === null) return items;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}

test('a feature view is shown with what is materialized of it', async () => {
  const shown = {
    revision: 1,
    materialized: { snapshot: 4, windows: 3, rows: 30, bytes: 300, start: day(1), end: day(4) },
  };
  expect(await get('/features/origin_hour')).toMatchObject({ ...shown, flight: ['eider', 'features', 'origin_hour'] });
  const empty = { materialized: { snapshot: 0, windows: 0, rows: 0, start: null } };
  expect((await get<Page<object>>('/features')).items).toMatchObject([shown, empty]);
});

test('the ledger has one row a window in order of time, with all one a commit, page by page', async () => {
  const windows = await pages<LedgerRow>('/features/origin_hour/windows');
  expect(windows.map(({ start, rowHash }) => [start, rowHash])).toEqual([
    [day(1), staged(1, 'b').rowHash],
    [day(2), staged(2).rowHash],
    [day(3), staged(3).rowHash],
  ]);
  const commits = await pages<LedgerRow>('/features/origin_hour/windows?all=true');
  expect(commits.map(({ start }) => start)).toEqual([day(1), day(2), day(3), day(1)]);
  expect((await get<Page<LedgerRow>>('/features/route_day/windows')).items).toEqual([]);
});

test('runs are listed page by page, and one is shown with its evaluation, without the golden rows', async () => {
  expect((await pages<{ id: string }>('/runs')).map(({ id }) => id)).toEqual(runs);
  expect(await pages('/runs?model=nobody')).toEqual([]);
  const run = await get<object>(`/runs/${runs[0]}`);
  expect(run).toMatchObject({
    status: 'finished',
    trainingSet: set,
    evaluation: { verdict: 'promote', reasons: ['first'] },
  });
  expect(run).not.toHaveProperty('golden');
});

test('the log of a run is the text that the trainer printed', async () => {
  const { status, headers, text } = await api.call('GET', `/api/v1/runs/${runs[0]}/log`);
  expect([status, headers.get('content-type'), text]).toEqual([200, 'text/plain; charset=utf-8', 'epoch 1\nüber\n']);
});

test('training sets, versions and aliases are shown', async () => {
  expect(await get(`/datasets/${set}`)).toMatchObject({
    ...{ rowHash: sha256('rows'), flight: ['eider', 'datasets', set], erasures: [], checks: [] },
  });
  expect(await pages('/datasets')).toMatchObject([{ name: set }]);
  expect(await pages('/models/lateness/versions')).toMatchObject([{ version: 1, run: runs[0] }, { version: 2 }]);
  expect(await get('/models/lateness/versions/2')).toMatchObject({ version: 2, run: runs[1] });
  expect(await pages('/models/lateness/aliases')).toMatchObject([{ alias: 'champion', version: 1, generation: 1 }]);
  expect(await pages('/models/lateness/aliases/champion/history')).toMatchObject([{ version: 1, reason: 'first' }]);
});

test('an endpoint is shown with traffic, rollouts and instances', async () => {
  expect(await get('/endpoints/lateness')).toMatchObject({
    traffic: { version: 1, generation: 1, dataInstant: day(5) },
    rollouts: [{ id: 'r1', status: 'done' }],
    instances: [{ instance: 'serve-1', state: 'ready' }],
  });
  expect(await pages('/endpoints')).toMatchObject([{ name: 'lateness', traffic: { version: 1 } }]);
});

test('the inference log is read by event time, page by page, and says where batch predictions are', async () => {
  const range = `start=${day(6)}&end=${day(7)}`;
  const rows = await pages<{ rowIndex: number }>(`/endpoints/lateness/log?${range}`);
  expect(rows.map(({ rowIndex }) => rowIndex)).toEqual([1, 2, 3]);
  expect(await get(`/endpoints/lateness/log?${range}`)).toMatchObject({
    batch: { flight: ['eider', 'inference', 'lateness'] },
  });
  expect(await pages(`/endpoints/lateness/log?start=${day(5)}&end=${day(6)}`)).toEqual([]);
});

test('ticks, findings and alerts of a monitor are read', async () => {
  expect(await pages(`/monitors/${monitor}/ticks`)).toMatchObject([{ asOf: day(8) }, { asOf: day(15) }]);
  expect(await pages(`/monitors/${monitor}/findings`)).toMatchObject([
    { subject: 'distance', value: 0.3 },
    { subject: 'hour' },
  ]);
  expect(await pages(`/monitors/${monitor}/findings?version=2`)).toEqual([]);
  expect(await pages(`/monitors/${monitor}/alerts`)).toMatchObject([{ id: 'a1', status: 'open' }]);
  expect(await pages('/monitors')).toMatchObject([{ name: monitor, alert: { id: 'a1' } }]);
});

interface Lineage {
  readonly edges: { from: { kind: string; id: string }; to: { kind: string; id: string } }[];
  readonly truncated: boolean;
}
const walked = (path: string) => get<Lineage>(`/lineage/${path}`);
const ends = ({ edges }: Lineage, side: 'from' | 'to') =>
  new Set(edges.map((edge) => `${edge[side].kind} ${edge[side].id}`));

test('a version is traced back to commits and sources, and a commit forward to versions', async () => {
  const back = ends(await walked(`version/${encodeURIComponent('lateness/1')}`), 'from');
  const commits = await get<Page<LedgerRow>>('/features/origin_hour/windows');
  for (const origin of [
    `run ${runs[0]}`,
    `training_set ${set}`,
    'source flights@r1',
    'snapshot features/origin_hour@r1@s4',
  ])
    expect(back).toContain(origin);
  for (const { commit } of commits.items) expect(back).toContain(`commit ${commit}`);
  const [replaced] = (await get<Page<LedgerRow>>('/features/origin_hour/windows?all=true')).items;
  expect(back).not.toContain(`commit ${replaced?.commit}`);

  const forward = ends(await walked(`commit/${commits.items[1]?.commit}?direction=forward`), 'to');
  expect(forward).toContain('version lateness/2');
  expect(await walked(`version/${encodeURIComponent('lateness/1')}?limit=2`)).toMatchObject({ truncated: true });
  expect(await walked(`version/${encodeURIComponent('lateness/1')}?direction=forward`)).toMatchObject({ edges: [] });
});

test('labels are uploaded by the key of the spine, and a later upload corrects an earlier one', async () => {
  const label = (flight_id: number, value: boolean) => ({ key: { flight_id }, label: value, knownAt: '2001-03-05' });
  const upload = (labels: object[]) => api.call('POST', '/api/v1/models/lateness/labels', labels);
  expect(await upload([label(1, true), label(2, false)])).toMatchObject({ status: 200, body: { labels: 2 } });
  await upload([label(2, true)]);
  const rows = await api.db.query<object>('SELECT DISTINCT ON (key) key, label FROM labels ORDER BY key, id DESC');
  expect(rows).toEqual([1, 2].map((flight_id) => ({ key: { flight_id }, label: true })));
  const path = '/api/v1/models/lateness/labels';
  const many = Array.from({ length: 10_001 }, (_, at) => label(at, true));
  expect(await api.problem('POST', path, many)).toMatchObject({ status: 413, code: 'request_too_large' });
  expect((await upload(many.slice(1))).status).toBe(200);
  expect(await api.problem('POST', path, [label(1, true), { ...label(1, true), key: { id: 1 } }])).toMatchObject({
    code: 'request_invalid',
    detail: '1.key: must have exactly flight_id, the key of the spine.',
  });
  expect(await api.problem('POST', path, [])).toMatchObject({ code: 'request_invalid' });
});

test.each([
  ['/features/nobody', 404, 'resource_unknown'],
  ['/features/nobody/windows', 404, 'resource_unknown'],
  ['/features/origin_hour/windows?revision=9', 404, 'resource_unknown'],
  ['/features/origin_hour/windows?after=x', 422, 'request_invalid'],
  ['/datasets/nobody', 404, 'table_unknown'],
  [`/runs/${'0'.repeat(32)}`, 404, 'run_unknown'],
  [`/runs/${'0'.repeat(32)}/log`, 404, 'run_unknown'],
  [`/runs/${'0'.repeat(32)}/events`, 404, 'run_unknown'],
  ['/runs/nothing', 422, 'request_invalid'],
  ['/models/nobody/versions', 404, 'resource_unknown'],
  ['/models/lateness/versions/9', 404, 'version_unknown'],
  ['/models/lateness/versions/one', 422, 'request_invalid'],
  ['/models/nobody/aliases', 404, 'resource_unknown'],
  ['/models/nobody/aliases/champion/history', 404, 'resource_unknown'],
  ['/endpoints/nobody', 404, 'resource_unknown'],
  ['/endpoints/nobody/log?start=2001-01-01&end=2001-02-01', 404, 'resource_unknown'],
  ['/endpoints/lateness/log', 422, 'request_invalid'],
  ['/endpoints/lateness/log?start=2001-01-01&end=2001-02-01&after=x', 422, 'request_invalid'],
  ['/monitors/nobody/ticks', 404, 'resource_unknown'],
  ['/monitors/nobody/findings', 404, 'resource_unknown'],
  ['/monitors/nobody/alerts', 404, 'resource_unknown'],
  ['/lineage/run/nobody', 404, 'lineage_unknown'],
  ['/lineage/RUN/x', 422, 'request_invalid'],
  ['/lineage/run/x?direction=sideways', 422, 'request_invalid'],
])('GET %s is refused', async (path, status, code) => {
  expect(await api.problem('GET', `/api/v1${path}`)).toMatchObject({ status, code });
});

test('a log that is gone from the artifacts says so', async () => {
  await api.db.query("UPDATE runs SET log_key = 'eider/runs/gone' WHERE id = $1", [runs[1]]);
  expect(await api.problem('GET', `/api/v1/runs/${runs[1]}/log`)).toMatchObject({
    status: 500,
    code: 'object_missing',
  });
  await api.db.query("UPDATE runs SET log_key = '../secret' WHERE id = $1", [runs[1]]);
  expect(await api.problem('GET', `/api/v1/runs/${runs[1]}/log`)).toMatchObject({ status: 500, code: 'internal' });
});
