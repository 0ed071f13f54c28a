import { workflowIds } from '../../domain/ids.js';
import { commitWindow } from '../../store/snapshots.js';
import { recordExpectations } from '../../store/expectations.js';
import { applyResources } from '../../store/resources.js';
import { anonymous } from '../../domain/principal.js';
import { commitOf, day, flights, project, staged, view } from '../store/samples.js';
import { withApi, type TestApi } from './api.js';
import { standIns, startWorker } from './worker.js';

/** Steering work, and asking how its rows met the expectations, over HTTP. */

let api: TestApi;
let stopWorker: () => Promise<void>;
let letGo: () => void;
beforeAll(async () => {
  api = await withApi();
  await applyResources(api.db, project, flights(), anonymous);
  const stand = standIns(api.db);
  letGo = stand.letGo;
  stopWorker = await startWorker(api.server, stand.activities);
}, 60_000);
afterAll(async () => {
  await stopWorker();
  await api.close();
});

const at = (id: string, action: string) => `/api/v1/workflows/${encodeURIComponent(id)}/${action}`;

test('work in batches is paused and resumed with a reason; what it is not in a state for is refused', async () => {
  const body = { start: day(1), end: day(4), parallel: 1 };
  await api.call('POST', '/api/v1/features/origin_hour/materialize', body);
  const id = workflowIds.materialize(project, 'origin_hour', 1, day(1), day(4));
  expect((await api.problem('POST', at(id, 'resume'), {})).code).toBe('control_refused');
  const paused = await api.call<{ control: object }>('POST', at(id, 'pause'), { reason: 'lunch' });
  expect(paused).toMatchObject({
    status: 200,
    body: { control: { state: 'paused', by: 'anonymous', reason: 'lunch' } },
  });
  const state = await api.call('GET', `/api/v1/workflows/${encodeURIComponent(id)}`);
  expect(state.body).toMatchObject({ status: 'running', progress: { control: { state: 'paused', reason: 'lunch' } } });
  // Another number of batches at once is the same work.
  expect((await api.call('POST', '/api/v1/features/origin_hour/materialize', { ...body, parallel: 2 })).status).toBe(
    202,
  );
  expect(await api.call('POST', at(id, 'resume'))).toMatchObject({
    status: 200,
    body: { control: { state: 'running' } },
  });
  expect(await api.call('POST', at(id, 'cancel'), { reason: 'enough' })).toMatchObject({
    ...{ status: 202, body: { control: { state: 'cancelling', reason: 'enough' } } },
  });
  letGo();
});

test('work that is no batches, has ended or is unknown cannot be paused', async () => {
  await api.call('POST', '/api/v1/endpoints/lateness/log', { start: day(1), end: day(2) });
  const id = workflowIds.log(project, 'lateness', day(1), day(2));
  expect(await api.problem('POST', at(id, 'pause'), {})).toMatchObject({
    code: 'control_refused',
    detail: expect.stringContaining('can only be cancelled'),
  });
  expect((await api.call('POST', at(id, 'cancel'))).status).toBe(202);
  expect((await api.problem('POST', at(`score/${project}/none`, 'pause'), {})).code).toBe('workflow_unknown');
});

test('results of expectations are listed page by page, and statistics of nothing are none', async () => {
  const { commit } = await commitWindow(api.db, commitOf(staged(1), null));
  const results = [1, 2, 3].map((min, position) => ({
    ...{ position, expectation: { test: 'volume' as const, min, severity: 'warn' as const }, passed: min < 3 },
    ...{ rows: 2, failed: null, value: 2, samples: [] },
  }));
  await recordExpectations(api.db, view, { start: day(1), end: day(2) }, results, { commit, workflowId: 'w' });
  const list = async (query: string) =>
    (await api.call<{ items: { position: number }[]; next: string | null }>('GET', `/api/v1/features/origin_hour/expectations${query}`)).body; // prettier-ignore
  const first = await list('?limit=2');
  expect(first.items.map(({ position }) => position)).toEqual([0, 1]);
  expect((await list(`?limit=2&after=${first.next}`)).items.map(({ position }) => position)).toEqual([2]);
  expect((await list('?failed=true')).items).toMatchObject([{ position: 2, commit, start: day(1) }]);
  const statistics = await api.call('GET', '/api/v1/features/origin_hour/statistics');
  expect(statistics.body).toMatchObject({ windows: 1, measured: 0, items: [] });
});
