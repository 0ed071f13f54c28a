import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Problem } from '../../domain/check.js';
import { defaultProject, type ProjectName } from '../../domain/ids.js';
import type { Resource } from '../../domain/resources.js';
import { eventResources, eventsSql, type EventResources } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** Everything that is wrong with resources is said before they are applied. */

let world: World;
let path: string;
let checks = 0;
beforeAll(async () => {
  world = await withWorld();
  path = await world.write('events.parquet', eventsSql({ days: 2 }));
});
afterAll(() => world.close());

const check = (resources: readonly Resource[]): Promise<Problem[]> =>
  world.run('checkResources', `check/${++checks}`, { project: defaultProject, resources });
const problems = async (more: Partial<EventResources>, change: (resources: Resource[]) => Resource[] = (all) => all) =>
  (await check(change(eventResources({ path, ...more })))).map(({ kind, field, code, detail }) => ({
    at: `${kind} ${field}`,
    code,
    detail,
  }));
/** Puts other fields into the spec of one kind. */
const having = (kind: string, fields: object) => (all: Resource[]) =>
  all.map((one) => (one.kind === kind ? ({ ...one, spec: { ...one.spec, ...fields } } as Resource) : one));

test('what is right has no problem', async () => {
  expect(await check(eventResources({ path }))).toEqual([]);
});

test.each<[string, Partial<EventResources>, string, string, RegExp]>([
  [
    'SQL that does not parse',
    { viewSql: 'SELEC place' },
    'FeatureView spec.sql',
    'sql_invalid',
    /syntax error at or near "SELEC"/,
  ],
  [
    'SQL that does not bind',
    { viewSql: 'SELECT plaice FROM events' },
    'FeatureView spec.sql',
    'sql_invalid',
    /"plaice" not found/,
  ],
  [
    'SQL without the event time',
    { viewSql: 'SELECT place, 1 AS mean, 1 AS events FROM events' },
    'FeatureView spec.sql',
    'sql_invalid',
    /does not yield the event time "event_time"/,
  ],
  [
    'SQL without a feature',
    { viewSql: 'SELECT place, "at" AS event_time, 1 AS mean FROM events' },
    'FeatureView spec.sql',
    'sql_invalid',
    /the feature "events"/,
  ],
  [
    'SQL without the key',
    { viewSql: 'SELECT "at" AS event_time, 1 AS mean, 1 AS events FROM events' },
    'FeatureView spec.sql',
    'sql_invalid',
    /the key "place"/,
  ],
  [
    'SQL that reads something else',
    { viewSql: 'SELECT * FROM other' },
    'FeatureView spec.sql',
    'sql_invalid',
    /only events is declared/,
  ],
  [
    'SQL that reads the clock',
    { viewSql: 'SELECT place, now() AS event_time, 1 AS mean, 1 AS events FROM events' },
    'FeatureView spec.sql',
    'sql_not_deterministic',
    /now\(\)/,
  ],
  [
    'a spine without its label',
    { spineSql: 'SELECT id, "at" AS asked, place, a, b, known_at FROM events' },
    'Model spec.spine.sql',
    'sql_invalid',
    /the label "happened"/,
  ],
  [
    'a spine without a view’s key',
    { spineSql: 'SELECT id, "at" AS asked, a, b, happened, known_at FROM events' },
    'Model spec.spine.sql',
    'sql_invalid',
    /"place"/,
  ],
  [
    'a spine that is random',
    { spineSql: 'SELECT *, random() AS r FROM events' },
    'Model spec.spine.sql',
    'sql_not_deterministic',
    /random\(\)/,
  ],
  [
    'a parameter that the trainer does not have',
    { parameters: { leaves: 3 } },
    'Model spec.spine.sql',
    'resource_invalid',
    /leaves/,
  ],
])('%s is said', async (_, more, at, code, detail) => {
  expect(await problems(more)).toEqual([{ at, code, detail: expect.stringMatching(detail) }]);
});

test.each<[string, object, string, RegExp]>([
  [
    'an event time that is not there',
    { eventTime: 'whenever' },
    'Source spec.path',
    /no column "whenever", the event time; it has at, place/,
  ],
  ['an event time that is no time', { eventTime: 'place' }, 'Source spec.path', /must be a timestamp; it is VARCHAR/],
  ['a known-at that does not bind', { knownAt: 'whenever' }, 'Source spec.knownAt', /"whenever" not found/],
  ['a known-at that does not parse', { knownAt: '"at" +' }, 'Source spec.knownAt', /syntax error/],
  ['a known-at that is no time', { knownAt: 'a' }, 'Source spec.knownAt', /must be a timestamp; it is DOUBLE/],
  ['a known-at that reads the clock', { knownAt: 'now()::TIMESTAMP' }, 'Source spec.knownAt', /now\(\)/],
])('a source with %s is said', async (_, fields, at, detail) => {
  expect(await problems({}, (all) => having('Source', fields)(all).slice(0, 1))).toEqual([
    { at, code: expect.stringMatching(/^(sql|resource)_/), detail: expect.stringMatching(detail) },
  ]);
});

test.each<[string, () => Promise<string>, string]>([
  ['that does not exist', async () => join(world.home, 'data', 'nothing.parquet'), 'source_missing'],
  ['outside of the roots', async () => '/etc/hosts', 'path_not_allowed'],
  ['that is corrupt', async () => { const file = join(world.home, 'data', 'bad.parquet'); await writeFile(file, 'x'.repeat(99)); return file; }, 'source_unreadable'], // prettier-ignore
  ['that is a folder', async () => { const folder = join(world.home, 'data', 'folder'); await mkdir(folder, { recursive: true }); return folder; }, 'source_unreadable'], // prettier-ignore
])('a file %s is said of the source, and of what reads it', async (_, make, code) => {
  const found = await problems({ path: await make() });
  expect(found[0]).toMatchObject({ at: 'Source spec.path', code });
  expect(found.map(({ at }) => at.split(' ')[0])).toEqual(['Source', 'FeatureView', 'Model']);
});

test('all problems are said at once, and what is active is found by what is new', async () => {
  const broken = await problems({ viewSql: 'SELECT', spineSql: 'SELECT' });
  expect(broken.map(({ at }) => at)).toEqual(['FeatureView spec.sql', 'Model spec.spine.sql']);
  await world.apply(eventResources({ path }).slice(0, 2));
  expect(await check(eventResources({ path }).slice(2))).toEqual([]);
});

test('what refers to nothing is said, not met', async () => {
  const view = eventResources({ path })[2] as Resource;
  const alone = having('FeatureView', { sources: ['nothing'], sql: 'SELECT * FROM nothing' })([view]);
  expect(await check(alone)).toMatchObject([{ kind: 'FeatureView', code: 'reference_unknown' }]);
});

test('what is active and would break by the change is said of what breaks', async () => {
  const all = eventResources({ path });
  await world.apply(all, 'active' as ProjectName);
  const changed = async (kind: string, fields: object) => {
    const resources = having(kind, fields)(all).filter((one) => one.kind === kind);
    const found = await world.run('checkResources', `check/${++checks}`, { project: 'active' as ProjectName, resources }); // prettier-ignore
    return found.map((problem) => [`${problem.kind} ${problem.field}`, problem.detail]);
  };
  expect(await changed('FeatureView', { features: [{ name: 'events', type: 'BIGINT' }] })).toEqual([
    ['Model spec.spine.sql', expect.stringMatching(/the feature of place_day "mean"/)],
  ]);
  expect(await changed('Entity', { keys: [{ name: 'spot', type: 'VARCHAR' }] })).toEqual([
    ['FeatureView spec.sql', expect.stringMatching(/the key "spot"/)],
    ['Model spec.spine.sql', expect.stringMatching(/"spot"/)],
  ]);
  expect(await changed('FeatureView', { ttl: '9d' })).toEqual([]);
});
