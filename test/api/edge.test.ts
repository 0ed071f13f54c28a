import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorTable } from '../../domain/errors.js';
import { projectRoot } from '../../apps/config.js';
import { openApiDocument } from '../../apps/api/openapi.js';
import { withApi, type TestApi } from './api.js';

let api: TestApi;
beforeAll(async () => {
  api = await withApi();
});
afterAll(() => api.close());

const badForm = { 'content-type': 'application/x-www-form-urlencoded' };
const tooLarge = JSON.stringify({ name: 'x'.repeat(5 * 1024 * 1024) });

test.each([
  [
    'an unknown route',
    'GET',
    '/api/v1/nothing?here=1',
    undefined,
    {},
    404,
    'route_unknown',
    /GET \/api\/v1\/nothing\?here=1/,
  ],
  ['an unknown route of no version', 'GET', '/nothing', undefined, {}, 404, 'route_unknown', /GET \/nothing/],
  ['a wrong method', 'PATCH', '/api/v1/projects', undefined, {}, 404, 'route_unknown', /PATCH/],
  ['malformed JSON', 'POST', '/api/v1/projects', '{"name": ', {}, 422, 'request_invalid', /not valid JSON/],
  ['a form', 'POST', '/api/v1/projects', 'name=a', badForm, 422, 'request_invalid', /Media Type/],
  [
    'plain text',
    'POST',
    '/api/v1/projects',
    'a',
    { 'content-type': 'text/plain' },
    422,
    'request_invalid',
    /Media Type/,
  ],
  ['no body', 'POST', '/api/v1/projects', undefined, {}, 422, 'request_invalid', /has no body/],
  ['a body that is too large', 'POST', '/api/v1/projects', tooLarge, {}, 413, 'request_too_large', /too large/],
  [
    'a name that cannot be',
    'POST',
    '/api/v1/projects',
    { name: 'A!' },
    {},
    422,
    'request_invalid',
    /^name: must be lower/,
  ],
  ['an unknown field', 'POST', '/api/v1/projects', { name: 'a', nme: 'b' }, {}, 422, 'request_invalid', /"nme"/],
  [
    'an unknown parameter',
    'GET',
    '/api/v1/resources?kin=Model',
    undefined,
    {},
    422,
    'request_invalid',
    /^query: .*"kin"/,
  ],
  ['a limit of nothing', 'GET', '/api/v1/resources?limit=0', undefined, {}, 422, 'request_invalid', /^query\.limit: /],
  [
    'an after of elsewhere',
    'GET',
    '/api/v1/resources?after=x',
    undefined,
    {},
    422,
    'request_invalid',
    /^query\.after: /,
  ],
  ['an unknown project', 'GET', '/api/v1/projects/nobody/resources', undefined, {}, 404, 'project_unknown', /"nobody"/],
  [
    'an impossible project',
    'GET',
    '/api/v1/projects/No!/resources',
    undefined,
    {},
    422,
    'request_invalid',
    /^path\.project: /,
  ],
  [
    'an unknown kind',
    'GET',
    '/api/v1/resources/Modle/x',
    undefined,
    {},
    422,
    'request_invalid',
    /^path\.kind: .*FeatureView/,
  ],
  ['a NUL in a name', 'GET', '/api/v1/resources/Model/a%00b', undefined, {}, 422, 'request_invalid', /^path\.name: /],
  ['half an escape', 'GET', '/api/v1/resources/Model/%E0%A4%A', undefined, {}, 422, 'request_invalid', /./],
])('%s is a problem with its code', async (_, method, path, body, headers, status, code, detail) => {
  const problem = await api.problem(method, path, body, headers as Record<string, string>);
  const { title, help } = errorTable[code as 'request_invalid'];
  expect(problem).toMatchObject({ status, code, title, help, type: `urn:eider:error:${code}` });
  expect(problem.detail).toMatch(detail);
  expect(problem.requestId).toMatch(/^[0-9a-f-]{36}$/);
});

test('the project eider is meant where the address names none', async () => {
  await api.call('POST', '/api/v1/projects', { name: 'other' });
  expect(
    (await api.call<{ items: { name: string }[] }>('GET', '/api/v1/projects')).body.items.map((one) => one.name),
  ).toEqual(['eider', 'other']);
  const [bare, named, other] = await Promise.all([
    api.problem('GET', '/api/v1/resources/Model/m'),
    api.problem('GET', '/api/v1/projects/eider/resources/Model/m'),
    api.problem('GET', '/api/v1/projects/other/resources/Model/m'),
  ]);
  expect(bare.detail).toBe(named.detail);
  expect(other.detail).toContain('project "other"');
});

test('a request id that the caller gives is echoed, one that could break a log line is replaced', async () => {
  const id = 'trace/1.2:3';
  expect((await api.call('GET', '/healthz', undefined, { 'x-request-id': id })).headers.get('x-request-id')).toBe(id);
  const problem = await api.problem('GET', '/nothing', undefined, { 'x-request-id': id });
  expect(problem.requestId).toBe(id);
  const replaced = await api.call('GET', '/healthz', undefined, { 'x-request-id': 'a b' });
  expect(replaced.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
});

test('a page of another origin is not let in', async () => {
  const headers = { origin: 'http://example.com', 'access-control-request-method': 'POST' };
  const preflight = await api.call('OPTIONS', '/api/v1/projects', undefined, headers);
  expect(preflight.status).toBe(404);
  const answer = await api.call('GET', '/api/v1/projects', undefined, { origin: 'http://example.com' });
  expect(answer.headers.get('access-control-allow-origin')).toBeNull();
});

test('health and readiness answer, and what answered is counted by route and status', async () => {
  expect((await api.call('GET', '/healthz')).body).toEqual({ status: 'ok' });
  expect(await api.call('GET', '/readyz')).toMatchObject({
    status: 200,
    body: { ready: true, database: 'ok', temporal: 'ok' },
  });
  await api.call('GET', '/api/v1/runs');
  const { text, headers } = await api.call('GET', '/metrics');
  expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(text).toMatch(
    /^eider_api_requests_total\{method="GET",route="\/api\/v1\/projects\/:project\/runs",status="200"\} 1$/m,
  );
  expect(text).toMatch(/^eider_api_request_seconds_bucket\{method="GET",route="\/readyz",le="\+Inf"\} 1$/m);
});

test('what is our own fault is told without its inner words, and logged with them', async () => {
  const broken = await withApi();
  await broken.db.query('DROP TABLE runs CASCADE');
  const problem = await broken.problem('GET', '/api/v1/runs');
  expect(problem).toMatchObject({ status: 500, code: 'internal', detail: 'An unexpected error happened.', data: {} });
  const line = broken.logged
    .map((text) => JSON.parse(text) as Record<string, unknown>)
    .find((one) => one['level'] === 'error');
  expect(line).toMatchObject({ requestId: problem.requestId, url: '/api/v1/runs' });
  expect(JSON.stringify(line)).toContain('relation \\"runs\\" does not exist');
  await broken.close();
});

test('docs/openapi.json is the description that the server gives', async () => {
  const document = JSON.parse(JSON.stringify(await openApiDocument())) as object;
  expect(JSON.parse(readFileSync(join(projectRoot, 'docs', 'openapi.json'), 'utf8'))).toEqual(document);
  expect((await api.call('GET', '/docs-json')).body).toEqual(document);
  expect((await api.call('GET', '/docs')).text).toContain('swagger-ui-bundle.js');
  expect((await api.call('GET', '/docs/swagger-ui.css')).status).toBe(200);
});

interface Described {
  paths: Record<
    string,
    Record<string, { summary?: string; requestBody?: unknown; parameters: { $ref?: string; name?: string }[] }>
  >;
  components: { schemas: Record<string, object> };
}

/** What needs nothing but its address, and what Feast has and we refuse. */
const withoutBody = /\/(cancel|flush|verify|recreate|search|retrieve-online-documents)$/;

test('the description names each parameter of a path, each body and each error code, and repeats no operation', async () => {
  const document = JSON.parse(JSON.stringify(await openApiDocument())) as Described;
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/#\/components\/schemas\/([A-Za-z]+)/g))
    expect(Object.keys(document.components.schemas)).toContain(name);
  for (const [path, operations] of Object.entries(document.paths))
    for (const [method, { summary, requestBody, parameters }] of Object.entries(operations)) {
      const named = parameters.map(({ name, $ref }) => name ?? $ref?.split('/').at(-1)?.toLowerCase());
      const expected = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect([path, named]).toEqual([path, expect.arrayContaining(expected)]);
      expect([path, summary]).not.toEqual([path, undefined]);
      if (method === 'post' && !withoutBody.test(path)) expect([path, requestBody]).not.toEqual([path, undefined]);
    }
  for (const code of Object.keys(errorTable)) expect(text).toContain(`"${code}"`);
});

test('docs/api.md names every route', async () => {
  const text = readFileSync(join(projectRoot, 'docs', 'api.md'), 'utf8');
  const { paths } = JSON.parse(JSON.stringify(await openApiDocument())) as Described;
  const named = (method: string, path: string) =>
    text
      .split('\n')
      .some((line) => line.includes(method.toUpperCase()) && line.replace(/\?[^`]*/g, '').includes(`${path}\``));
  for (const [path, operations] of Object.entries(paths))
    for (const method of Object.keys(operations)) {
      const short = path.replace(/^(\/api\/v1)?\/projects\/\{project\}(?=\/)/, '');
      expect([method, short, named(method, short)]).toEqual([method, short, true]);
    }
});
