import { anonymous } from '../../domain/principal.js';
import { applyResources } from '../../store/resources.js';
import { freePort } from '../programs/started.js';
import { flights, project } from '../store/samples.js';
import { withApi, type TestApi } from './api.js';

let api: TestApi;
beforeAll(async () => {
  api = await withApi({ address: `127.0.0.1:${await freePort()}` });
  await applyResources(api.db, project, flights(), anonymous);
});
afterAll(() => api.close());

test('while Temporal is away, what needs it is a 503 within seconds, and the rest works', async () => {
  const began = performance.now();
  const refused = await Promise.all([
    api.problem('POST', '/api/v1/models/lateness/train', { asOf: '2001-03-05' }),
    api.problem('GET', '/api/v1/workflows'),
    api.problem('GET', `/api/v1/workflows/${encodeURIComponent('train/eider/x')}`),
    api.problem('POST', '/api/v1/plan', {
      resources: [{ kind: 'Entity', name: 'e', spec: { keys: [{ name: 'k', type: 'BIGINT' }] } }],
    }),
  ]);
  for (const problem of refused)
    expect(problem).toMatchObject({ status: 503, code: 'temporal_unreachable', retry: true });
  expect(performance.now() - began).toBeLessThan(20_000);
  expect((await api.call('GET', '/api/v1/resources')).status).toBe(200);
  expect(await api.call('GET', '/readyz')).toMatchObject({
    status: 503,
    body: { ready: false, database: 'ok', temporal: 'temporal_unreachable' },
  });
  expect((await api.call('GET', '/healthz')).status).toBe(200);
});
