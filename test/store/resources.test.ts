import type { ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { Resource } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { announceRollout } from '../../store/deployment.js';
import { commitWindow } from '../../store/snapshots.js';
import { drainOne, type OutboxMessage } from '../../store/outbox.js';
import {
  applyResources,
  createProject,
  deleteResource,
  getPinned,
  getResource,
  listProjects,
  listResources,
  listRevisions,
  planResources,
  requireProject,
} from '../../store/resources.js';
import { withDatabase } from '../support/database.js';
import { commitOf, day, flights, project, registered, resourceOf, staged, startedRun } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

const apply = (resources: readonly Resource[], into = project) => applyResources(db, into, resources, anonymous);
const origin = () => resourceOf('Entity', 'origin') as Extract<Resource, { kind: 'Entity' }>;
const originOf = (type: 'VARCHAR' | 'BIGINT'): Resource => ({
  ...origin(),
  spec: { keys: [{ name: 'origin', type }] },
});

test('the examples apply at once, and applying them again changes nothing', async () => {
  expect((await apply(flights())).map(({ change, revision }) => `${change} ${revision}`)).toEqual(
    flights().map(() => 'created 1'),
  );
  const again = await apply(flights());
  expect(again.every(({ change, fields }) => change === 'unchanged' && fields.length === 0)).toBe(true);
  expect(await listResources(db, project)).toHaveLength(flights().length);
});

test('a change makes a revision, the earlier content brings its revision back, and the numbers go on', async () => {
  await apply([originOf('VARCHAR')]);
  expect(await apply([originOf('BIGINT')])).toMatchObject([{ change: 'updated', revision: 2, fields: ['keys'] }]);
  expect(await apply([originOf('VARCHAR')])).toMatchObject([{ change: 'restored', revision: 1 }]);
  expect((await getResource(db, project, 'Entity', 'origin')).revision).toBe(1);
  expect((await getResource(db, project, 'Entity', 'origin', 2)).spec.keys[0]?.type).toBe('BIGINT');
  expect((await listRevisions(db, project, 'Entity', 'origin')).map((one) => one.revision)).toEqual([1, 2]);
});

test('a description is no content: it changes without a revision', async () => {
  await apply([origin()]);
  expect(await apply([{ ...origin(), description: 'Another text.', owner: 'ann' }])).toMatchObject([
    { change: 'unchanged', revision: 1 },
  ]);
  expect(await getResource(db, project, 'Entity', 'origin')).toMatchObject({
    description: 'Another text.',
    owner: 'ann',
  });
});

test('plan says what apply would do and does not do it', async () => {
  expect(await planResources(db, project, [origin()])).toMatchObject([{ change: 'created', revision: 1 }]);
  expect(await listResources(db, project)).toEqual([]);
});

test('what refers to nothing is refused, and nothing of the same apply is done', async () => {
  await expect(apply([origin(), resourceOf('FeatureView', 'origin_hour')])).rejects.toMatchObject({
    code: 'reference_unknown',
    data: { resource: 'FeatureView/origin_hour', missing: 'Source/flights' },
  });
  expect(await listResources(db, project)).toEqual([]);
});

test('the same name twice in one apply is refused', async () => {
  await expect(apply([originOf('VARCHAR'), originOf('BIGINT')])).rejects.toMatchObject({ code: 'resource_invalid' });
});

test('an unknown project is named, by apply and by whoever asks', async () => {
  const other = 'nobody' as ProjectName;
  await expect(apply([origin()], other)).rejects.toMatchObject({ code: 'project_unknown' });
  await expect(requireProject(db, other)).rejects.toMatchObject({ code: 'project_unknown', data: { project: other } });
});

test('a project is made once, and its resources are its own', async () => {
  const other = 'other' as ProjectName;
  await createProject(db, other, anonymous);
  await createProject(db, other, anonymous);
  expect((await listProjects(db)).map(({ name }) => name)).toEqual([project, other]);
  await apply([origin()], other);
  expect(await listResources(db, project)).toEqual([]);
});

test('an unknown resource is refused with the names that are known', async () => {
  await apply([origin()]);
  await expect(getResource(db, project, 'Entity', 'orign')).rejects.toMatchObject({
    code: 'resource_unknown',
    data: { known: ['origin'] },
  });
  await expect(getResource(db, project, 'Entity', 'origin', 7)).rejects.toMatchObject({ code: 'resource_unknown' });
});

test.each([
  ['Source', 'flights', ['FeatureView/origin_hour', 'FeatureView/route_day', 'Model/lateness']],
  ['Entity', 'origin', ['FeatureView/origin_hour']],
  ['FeatureView', 'route_day', ['FeatureService/lateness_inputs', 'Model/lateness']],
  ['Model', 'lateness', ['Endpoint/lateness']],
  ['Endpoint', 'lateness', ['Monitor/lateness_weekly']],
] as const)('the %s %s cannot be deleted while something uses it', async (kind, name, users) => {
  await apply(flights());
  await expect(deleteResource(db, project, kind, name, anonymous)).rejects.toMatchObject({
    code: 'resource_in_use',
    data: { users },
  });
});

test('what runs keeps its resource: a run its model, a rollout its endpoint', async () => {
  await apply(flights());
  const { version } = await registered(db);
  const rollout = { id: 'r1', endpoint: 'lateness', model: 'lateness', version, dataInstant: day(1), workflowId: 'w' };
  await announceRollout(db, project, rollout, anonymous);
  await startedRun(db, day(2));
  await deleteResource(db, project, 'Monitor', 'lateness_weekly', anonymous);
  const refusal = deleteResource(db, project, 'Endpoint', 'lateness', anonymous);
  await expect(refusal).rejects.toMatchObject({ data: { users: ['open rollout r1'] } });
});

test('what is deleted is gone by name, keeps its revisions, and comes back with the next one', async () => {
  await apply([originOf('VARCHAR')]);
  await deleteResource(db, project, 'Entity', 'origin', anonymous);
  await expect(getResource(db, project, 'Entity', 'origin')).rejects.toMatchObject({ code: 'resource_unknown' });
  expect((await getResource(db, project, 'Entity', 'origin', 1)).spec.keys).toHaveLength(1);
  expect(await apply([originOf('BIGINT')])).toMatchObject([{ change: 'created', revision: 2 }]);
  await deleteResource(db, project, 'Entity', 'origin', anonymous);
  expect(await apply([originOf('VARCHAR')])).toMatchObject([{ change: 'restored', revision: 1 }]);
});

test('many who apply the same at once make one revision', async () => {
  const changes = await Promise.all(Array.from({ length: 8 }, () => apply([origin()])));
  expect(changes.flat().filter(({ change }) => change === 'created')).toHaveLength(1);
  expect(await listRevisions(db, project, 'Entity', 'origin')).toHaveLength(1);
});

test('a Monitor that changes or goes is told through the outbox, in the transaction of the change', async () => {
  await apply(flights());
  await apply(flights());
  await deleteResource(db, project, 'Monitor', 'lateness_weekly', anonymous);
  const told: OutboxMessage[] = [];
  while (await drainOne(db, async (message) => void told.push(message)));
  const message = { project, topic: 'monitor_changed', payload: { monitor: 'lateness_weekly' } };
  expect(told).toMatchObject([message, message]);
});

type View = Extract<Resource, { kind: 'FeatureView' }>;
const sourceOf = (knownAt: string): Resource => {
  const source = resourceOf('Source', 'flights') as Extract<Resource, { kind: 'Source' }>;
  return { ...source, spec: { ...source.spec, knownAt } };
};
const activeView = (name = 'origin_hour') => getResource(db, project, 'FeatureView', name);

test('an Entity that changes gives its views a revision of their own, which pins it; the earlier keys restore the earlier one', async () => {
  await apply(flights());
  await commitWindow(db, commitOf(staged(1), null));
  expect(await apply([originOf('BIGINT')])).toMatchObject([
    { kind: 'Entity', change: 'updated', revision: 2, because: [] },
    {
      kind: 'FeatureView',
      name: 'origin_hour',
      change: 'updated',
      revision: 2,
      fields: [],
      because: ['Entity/origin'],
    },
  ]);
  expect(await activeView()).toMatchObject({ revision: 2, pins: { 'Entity/origin': 2, 'Source/flights': 1 } });
  const first = await getResource(db, project, 'FeatureView', 'origin_hour', 1);
  expect((await getPinned(db, project, first, 'Entity', 'origin')).spec.keys[0]?.type).toBe('VARCHAR');
  expect(await apply([originOf('VARCHAR')])).toMatchObject([
    { kind: 'Entity', change: 'restored', revision: 1 },
    { kind: 'FeatureView', change: 'restored', revision: 1, because: ['Entity/origin'] },
  ]);
  expect((await activeView()).hash).toBe(first.hash);
});

test('a Source that changes gives every view that reads it a revision, planned and applied alike', async () => {
  await apply(flights());
  const changed = sourceOf('"date" + INTERVAL 1 DAY');
  const planned = await planResources(db, project, [changed]);
  expect(planned.map(({ kind, name, change, revision }) => `${kind}/${name} ${change} ${revision}`)).toEqual([
    'Source/flights updated 2',
    'FeatureView/origin_hour updated 2',
    'FeatureView/route_day updated 2',
  ]);
  expect((await activeView()).revision).toBe(1);
  expect(await apply([changed])).toEqual(planned);
  expect((await activeView('route_day')).revision).toBe(2);
  // Applied together, each is listed once, in the order in which it was given.
  const view = resourceOf('FeatureView', 'origin_hour') as View;
  const next: Resource = { ...view, spec: { ...view.spec, ttl: '4h' } };
  const together = await apply([next, sourceOf('"date" + INTERVAL 2 DAY')]);
  expect(together.map(({ name, revision }) => `${name} ${revision}`)).toEqual(['origin_hour 3', 'flights 3', 'route_day 3']); // prettier-ignore
  expect(together[0]).toMatchObject({ fields: ['ttl'], because: ['Source/flights'] });
});

test('a new description of what a view refers to is no new revision of it', async () => {
  await apply(flights());
  const changes = await apply([{ ...origin(), description: 'Other words.' }]);
  expect(changes.map(({ kind, change }) => `${kind} ${change}`)).toEqual(['Entity unchanged']);
});
