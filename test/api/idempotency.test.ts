import { withApi, type TestApi } from './api.js';

let api: TestApi;
beforeAll(async () => {
  api = await withApi();
  await api.call('POST', '/api/v1/projects', { name: 'other' });
});
afterAll(() => api.close());

const post = (key: string, name: string, path = '/api/v1/projects') =>
  api.call('POST', path, { name }, { 'idempotency-key': key });
const replayed = ({ headers }: { headers: Headers }) => headers.get('idempotent-replayed') === 'true';
const names = async () =>
  (await api.db.query<{ name: string }>('SELECT name FROM projects ORDER BY name')).map(({ name }) => name);

test('a repeat gets the first answer, and says that it is one', async () => {
  const [first, second] = [await post('once', 'first'), await post('once', 'first')];
  expect([first.status, first.body, replayed(first)]).toEqual([201, { name: 'first' }, false]);
  expect([second.status, second.body, replayed(second)]).toEqual([201, { name: 'first' }, true]);
});

test('a repeat changes nothing that was changed in between', async () => {
  await post('gone', 'gone');
  await api.db.query("DELETE FROM projects WHERE name = 'gone'");
  expect((await post('gone', 'gone')).status).toBe(201);
  expect(await names()).not.toContain('gone');
});

test('twenty requests at once under one key are done once, and all get the one answer', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => post('parallel', 'parallel')));
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['201 {"name":"parallel"}']));
  expect(answers.filter((answer) => !replayed(answer))).toHaveLength(1);
});

test('another body under the same key is refused, in whatever order its fields come', async () => {
  await post('altered', 'one');
  const problem = await api.problem('POST', '/api/v1/projects', { name: 'two' }, { 'idempotency-key': 'altered' });
  expect(problem).toMatchObject({ status: 422, code: 'idempotency_key_reused', data: { key: 'altered' } });
  expect(await names()).not.toContain('two');
});

test('a request that was refused leaves its key free', async () => {
  const refused = await api.problem('POST', '/api/v1/projects', { name: 'No!' }, { 'idempotency-key': 'free' });
  expect(refused.code).toBe('request_invalid');
  expect((await post('free', 'yes')).status).toBe(201);
});

test('a key belongs to its project', async () => {
  const key = { 'idempotency-key': 'shared' };
  const codes = await Promise.all(
    ['eider', 'other'].map((project) =>
      api.problem('POST', `/api/v1/projects/${project}/models/m/train`, { asOf: '2001-03-05' }, key),
    ),
  );
  expect(codes.map(({ code }) => code)).toEqual(['resource_unknown', 'resource_unknown']);
});

test('a key of a request that died is taken over after fifteen seconds, not before', async () => {
  await post('dying', 'dying');
  await api.db.query(
    "INSERT INTO idempotency_keys (project, key, fingerprint, claimed_at) SELECT 'eider', 'dead', fingerprint, now() - make_interval(secs => 12) FROM idempotency_keys WHERE key = 'dying'",
  );
  const began = performance.now();
  expect((await post('dead', 'dying')).status).toBe(201);
  // The repeat waits: twelve of the fifteen seconds had passed.
  expect(performance.now() - began).toBeGreaterThan(2_000);
});

test.each([
  ['', 'empty'],
  ['x'.repeat(256), 'too long'],
])('a key that is %#: %s is refused', async (key) => {
  const problem = await api.problem('POST', '/api/v1/projects', { name: 'a' }, { 'idempotency-key': key });
  expect(problem).toMatchObject({ code: 'request_invalid' });
});
