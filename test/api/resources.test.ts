import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Resource, Revision } from '../../domain/resources.js';
import type { Change } from '../../store/resources.js';
import { flights } from '../store/samples.js';
import { withApi, type TestApi } from './api.js';
import { standIns, startWorker } from './worker.js';

let api: TestApi;
let stopWorker: () => Promise<void>;
let file: string;
beforeAll(async () => {
  api = await withApi();
  await mkdir(join(api.home, 'data', 'more'), { recursive: true });
  file = join(api.home, 'data', 'flights.parquet');
  await writeFile(file, '');
  await writeFile(join(api.home, 'secret.parquet'), '');
  await symlink(join(api.home, 'secret.parquet'), join(api.home, 'data', 'link.parquet'));
  await symlink(api.home, join(api.home, 'data', 'out'));
  stopWorker = await startWorker(api.server, standIns(api.db).activities);
});
afterAll(async () => {
  await stopWorker();
  await api.close();
});

interface Plan {
  readonly changes: Change[];
  readonly problems: { kind: string; name: string; code: string; field: string; detail: string }[];
}
interface Items<Item> {
  readonly items: Item[];
  readonly next: string | null;
}

const at = (path: string): Resource[] =>
  flights().map((one) => (one.kind === 'Source' ? { ...one, spec: { ...one.spec, path } } : one));
const all = () => at(file);
const source = (path: string) => all().filter(({ kind }) => kind === 'Source').map((one) => ({ ...one, spec: { ...one.spec, path } })); // prettier-ignore
const apply = (resources: unknown[]) => api.call<{ changes: Change[] }>('POST', '/api/v1/apply', { resources });

test('plan says what apply will do, apply does it, and doing it again changes nothing', async () => {
  const planned = await api.call<Plan>('POST', '/api/v1/plan', { resources: all() });
  expect(planned).toMatchObject({ status: 200, body: { problems: [] } });
  expect(planned.body.changes.map(({ change, revision }) => [change, revision])).toEqual(all().map(() => ['created', 1])); // prettier-ignore
  expect((await api.call<Items<unknown>>('GET', '/api/v1/resources')).body.items).toEqual([]);

  const applied = await apply(all());
  expect(applied.body.changes).toEqual(planned.body.changes);
  const again = await apply(all());
  expect(new Set(again.body.changes.map(({ change }) => change))).toEqual(new Set(['unchanged']));
});

test('a changed field makes a revision, its former value the former revision', async () => {
  await apply(all());
  const changed = all().map((one) => (one.kind === 'Endpoint' ? { ...one, spec: { ...one.spec, policy: { goldenTolerance: 0.5 } } } : one)); // prettier-ignore
  const { changes } = (await api.call<Plan>('POST', '/api/v1/plan', { resources: changed })).body;
  expect(changes.filter(({ change }) => change !== 'unchanged')).toMatchObject([
    { kind: 'Endpoint', change: 'updated', revision: 2, fields: ['policy'] },
  ]);
  await apply(changed);
  const read = await api.call<Revision<'Endpoint'>>('GET', '/api/v1/resources/Endpoint/lateness');
  expect(read.body).toMatchObject({ revision: 2, spec: { policy: { goldenTolerance: 0.5 } } });
  const old = await api.call<Revision<'Endpoint'>>('GET', '/api/v1/resources/Endpoint/lateness?revision=1');
  expect(old.body).toMatchObject({ revision: 1, spec: { policy: { goldenTolerance: 1e-6 } } });
  expect((await apply(all())).body.changes.filter(({ change }) => change === 'restored')).toMatchObject([
    { revision: 1 },
  ]);
  const revisions = await api.call<Items<Revision>>('GET', '/api/v1/resources/Endpoint/lateness/revisions');
  expect(revisions.body.items.map(({ revision }) => revision)).toEqual([1, 2]);
});

test('every wrong field of every resource is named at once', async () => {
  const resources = [
    { kind: 'Entity', name: 'a', spec: { keys: [] } },
    { kind: 'Endpoint', name: 'b', spec: { model: 'm', versions: 3 } },
    { kind: 'Entity', name: 'c', spec: { keys: [{ name: 'rowid', type: 'BIGINT' }] } },
    { kind: 'FeatureService', name: 'd', spec: { features: ['twice:x'], joins: ['e', 'f'].map((view) => ({ name: 'twice', view })) } }, // prettier-ignore
  ];
  const problem = await api.problem('POST', '/api/v1/apply', { resources });
  expect(problem).toMatchObject({ status: 422, code: 'resource_invalid' });
  const fields = (problem.data['problems'] as { field: string }[]).map(({ field }) => field);
  expect(fields).toEqual(['resources.0.spec.keys', 'resources.1.spec', 'resources.2.spec.keys.0.name', 'resources.3.spec.joins']); // prettier-ignore
  expect(problem.detail).toMatch(/^resources\.0\.spec\.keys: .*; resources\.1\.spec: .*"versions"/);
});

test('what a worker finds wrong is in the plan, and apply refuses it with all of it, leaving nothing half-applied', async () => {
  const bad = ['x', 'y'].map((name) => ({ kind: 'Entity', name, description: 'refuse', spec: { keys: [{ name: 'k', type: 'BIGINT' }] } })); // prettier-ignore
  const good = { kind: 'Entity', name: 'z', spec: { keys: [{ name: 'k', type: 'BIGINT' }] } };
  const { problems } = (await api.call<Plan>('POST', '/api/v1/plan', { resources: [good, ...bad] })).body;
  expect(problems.map(({ name, field, code }) => [name, field, code])).toEqual([
    ['x', 'spec.sql', 'sql_invalid'],
    ['y', 'spec.sql', 'sql_invalid'],
  ]);
  const problem = await api.problem('POST', '/api/v1/apply', { resources: [good, ...bad] });
  expect(problem).toMatchObject({ status: 422, code: 'sql_invalid', detail: 'x does not parse', data: { problems } });
  expect(await api.problem('GET', '/api/v1/resources/Entity/z')).toMatchObject({ code: 'resource_unknown' });
});

test.each([
  ['a file in the folder', () => file, true],
  ['a file that is not there yet', () => join(api.home, 'data', 'later', 'a.parquet'), true],
  ['a glob in the folder', () => join(api.home, 'data', '*', '*.parquet'), true],
  ['a relative path', () => 'flights.parquet', false],
  ['a URL', () => 'https://example.com/a.parquet', false],
  ['a file elsewhere', () => '/etc/passwd', false],
  ['a folder whose name only begins alike', () => join(api.home, 'data2', 'a.parquet'), false],
  ['a glob that begins elsewhere', () => join(api.home, '*', 'flights.parquet'), false],
  ['a way out by ..', () => `${join(api.home, 'data')}/more/../../secret.parquet`, false],
  ['a link to a file outside', () => join(api.home, 'data', 'link.parquet'), false],
  ['a glob behind a link to a folder outside', () => join(api.home, 'data', 'out', '*.parquet'), false],
])('as the path of a source, %s is judged by where it leads', async (_, path, allowed) => {
  const { problems } = (await api.call<Plan>('POST', '/api/v1/plan', { resources: source(path()) })).body;
  const expected = allowed ? [] : [{ kind: 'Source', name: 'flights', field: 'spec.path', code: 'path_not_allowed' }];
  expect(problems).toMatchObject(expected);
  expect(problems).toHaveLength(expected.length);
  if (!allowed) expect(await api.problem('POST', '/api/v1/apply', { resources: source(path()) })).toMatchObject({ status: 403 }); // prettier-ignore
});

test.each(['104001d', '999999999999999999w'])(
  'a duration of %s is longer than instants can be counted',
  async (ttl) => {
    const long = all().map((one) => (one.kind === 'FeatureView' ? { ...one, spec: { ...one.spec, ttl } } : one));
    const problem = await api.problem('POST', '/api/v1/plan', { resources: long });
    expect(problem).toMatchObject({ status: 422, detail: expect.stringContaining('must be at most 104000d') });
  },
);

test('a reference to what is nowhere is refused', async () => {
  const problem = await api.problem('POST', '/api/v1/plan', { resources: [{ kind: 'Endpoint', name: 'e', spec: { model: 'nobody' } }] }); // prettier-ignore
  expect(problem).toMatchObject({ status: 422, code: 'reference_unknown', data: { missing: 'Model/nobody' } });
});

test('what something depends on cannot be deleted, anything else can, and its revisions stay', async () => {
  await apply(all());
  const used = await api.problem('DELETE', '/api/v1/resources/Model/lateness');
  expect(used).toMatchObject({ status: 409, code: 'resource_in_use', data: { users: ['Endpoint/lateness'] } });
  const monitor = all().find(({ kind }) => kind === 'Monitor')?.name;
  expect((await api.call('DELETE', `/api/v1/resources/Monitor/${monitor}`)).status).toBe(204);
  const gone = await api.problem('GET', `/api/v1/resources/Monitor/${monitor}`);
  expect(gone).toMatchObject({ status: 404, code: 'resource_unknown', data: { kind: 'Monitor', known: [] } });
  expect(await api.problem('DELETE', `/api/v1/resources/Monitor/${monitor}`)).toMatchObject({
    code: 'resource_unknown',
  });
  const left = await api.call<Items<Revision>>('GET', `/api/v1/resources/Monitor/${monitor}/revisions`);
  expect(left.body.items).toHaveLength(1);
});

test('a list is read page by page, and by kind', async () => {
  await apply(all());
  const names: string[] = [];
  for (let next: string | null = ''; next !== null;) {
    const after: string = next === '' ? '' : `&after=${encodeURIComponent(next)}`;
    const { body } = await api.call<Items<Revision>>('GET', `/api/v1/resources?limit=3${after}`);
    expect(body.items.length).toBeLessThanOrEqual(3);
    names.push(...body.items.map(({ kind, name }) => `${kind}/${name}`));
    next = body.next;
  }
  expect(names).toEqual(expect.arrayContaining(all().map(({ kind, name }) => `${kind}/${name}`)));
  expect(new Set(names).size).toBe(names.length);
  const entities = await api.call<Items<Revision>>('GET', '/api/v1/resources?kind=Entity');
  expect(entities.body.items.map(({ name }) => name)).toEqual(['origin', 'route']);
});

test('resources that would not fit the check are refused before it', async () => {
  const many = Array.from({ length: 400 }, (_, number) => ({ kind: 'FeatureService', name: `s${number}`, description: 'd'.repeat(2000), spec: { features: Array.from({ length: 100 }, (_, at) => `view_of_some_length:feature_${at}`) } })); // prettier-ignore
  expect(await api.problem('POST', '/api/v1/plan', { resources: many })).toMatchObject({ status: 413, code: 'request_too_large' }); // prettier-ignore
});
