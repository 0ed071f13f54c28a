import { withApi, type TestApi } from './api.js';

let api: TestApi;
beforeAll(async () => {
  api = await withApi();
});
afterAll(() => api.close());

test('an unknown route is a problem with the address that was asked for', async () => {
  const problem = await api.problem('GET', '/api/v1/nothing?here=1');
  expect(problem).toMatchObject({ status: 404, code: 'route_unknown', type: 'urn:eider:error:route_unknown' });
  expect(problem.detail).toBe('There is nothing at GET /api/v1/nothing?here=1.');
});
test('malformed JSON, a wrong content type and no body are invalid requests', async () => {
  const bad = await api.problem('POST', '/api/v1/projects', '{"name": ');
  expect(bad).toMatchObject({ status: 422, code: 'request_invalid' });
  console.log(bad);
  console.log(
    await api.problem('POST', '/api/v1/projects', 'name=a', { 'content-type': 'application/x-www-form-urlencoded' }),
  );
  console.log(await api.problem('POST', '/api/v1/projects'));
  console.log(await api.problem('POST', '/api/v1/projects', { name: 'A!', more: 1 }));
  console.log(await api.problem('GET', '/api/v1/resources?limit=0&x=1'));
  console.log((await api.call('GET', '/readyz')).text, (await api.call('GET', '/metrics')).text.slice(0, 600));
  console.log((await api.call('GET', '/docs-json')).text.slice(0, 3000));
});
