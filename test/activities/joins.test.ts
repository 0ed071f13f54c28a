import { mkdir } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { resolveJoins } from '../../activities/joins.js';
import type { Window } from '../../domain/features.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { writeWindow } from '../../lake/snapshots.js';
import { withService, type JoinOptions, type Selection } from '../../lake/joins.js';
import { localObjects, type Objects } from '../../lake/objects.js';
import { pointInTimeJoin } from '../../lake/point-in-time.js';
import { requireFit } from '../../lake/spine-fit.js';
import { joinCatalogue } from '../../store/joins.js';
import { applyResources } from '../../store/resources.js';
import { commitWindow } from '../../store/snapshots.js';
import { day, project } from '../store/samples.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { withLake, type TestLake } from '../support/lake.js';

/** What a selection becomes: views in one state each, under the names that were asked for. */

let database: TestDatabase;
let lake: TestLake;
let objects: Objects;
beforeAll(async () => {
  [database, lake] = await Promise.all([withDatabase(), withLake()]);
  await mkdir(joinPath(lake.folder, 'objects'));
  objects = localObjects(joinPath(lake.folder, 'objects'));
  await applyResources(database.db, project, resources, anonymous);
  await commit('price', 1, 'shop', 7);
  await commit('market', 1, null, 100);
});
afterAll(() => Promise.all([database.close(), lake.close()]));

const view = (name: string, entity: string | undefined, more: object = {}) => ({
  kind: 'FeatureView',
  name,
  spec: {
    ...{ ...(entity ? { entity } : {}), sources: ['rows'], sql: 'SELECT * FROM rows', lookback: '0s', ttl: '1d' },
    ...{ features: [{ name: 'value', type: 'INTEGER' }], ...more },
  },
});
const resources = [
  { kind: 'Source', name: 'rows', spec: { path: 'rows.parquet', eventTime: 'event_time' } },
  { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'VARCHAR' }] } },
  ...[view('price', 'shop'), view('market', undefined, { knownAt: 'known' }), view('empty', 'shop')],
  {
    ...{ kind: 'FeatureService', name: 'lanes' },
    spec: { features: ['target:value', 'price:value'], joins: [{ name: 'target', view: 'price', keys: { shop: 'to_shop' } }] }, // prettier-ignore
  },
].map((resource) => Resource.parse(resource)); // prettier-ignore

const heads = new Map<string, number>();
/** Commits a day of the view with one value for everything, known at noon. */
async function commit(name: string, number: number, key: string | null, value: number): Promise<number> {
  const columns = [
    ...(key === null ? [] : [{ name: key, type: 'VARCHAR' }]),
    { name: 'event_time', type: 'TIMESTAMP' },
    ...(key === null ? [{ name: 'known', type: 'TIMESTAMP' }] : []),
    { name: 'value', type: 'INTEGER' },
  ];
  const at = `TIMESTAMP '${day(number).slice(0, 10)}'`;
  const relation = `(SELECT unnest(['north', 'south']) AS shop, ${at} AS event_time, ${at} + INTERVAL 12 HOUR AS known, ${value} AS value)`;
  return lake.in(async (session) => {
    const planned = { start: day(number), end: day(number + 1), sourceFingerprint: `${value}`, predecessor: null };
    const folder = `${project}/features/${name}@r1`;
    const window = await writeWindow({ session, objects, relation, columns, orderBy: [], folder }, 'event_time', planned); // prettier-ignore
    const committed = await commitWindow(database.db, {
      ...{ table: { project, schema: 'features', name, revision: 1 }, columns, window, sourceVersion: 'v' },
      ...{ predecessor: heads.get(`${name}/${number}`) ?? null, workflowId: 'w', principal: anonymous },
    });
    heads.set(`${name}/${number}`, committed.commit);
    return committed.snapshot;
  });
}

const rangeOf = (number: number): Window => ({ start: day(number), end: day(number + 1) });
const spineColumns = [
  { name: 'shop', type: 'VARCHAR' },
  { name: 'to_shop', type: 'VARCHAR' },
  { name: 'asked', type: 'TIMESTAMP' },
];

/** Resolves, and joins with one row of noon, when what the market shows is known. */
function resolve(selection: Partial<Selection> & { readonly service?: string }, options: Partial<JoinOptions> = {}) {
  return lake.in(async (session) => {
    const dependencies = { db: database.db, lake: objects, scratch: lake.folder };
    const asked = { features: [], joins: [], ...selection };
    const all = { ...asked, ...(await withService(joinCatalogue(database.db), project, asked)) };
    const resolved = await resolveJoins(dependencies, session, project, all, { range: rangeOf(1), ...options });
    requireFit(spineColumns, 'asked', resolved.views);
    const spine = `(SELECT 'north' AS shop, 'nowhere' AS to_shop, TIMESTAMP '${day(1).slice(0, 10)} 12:00' AS asked)`;
    const [row] = await session.rows<Record<string, number | null>>(
      `SELECT * EXCLUDE (shop, to_shop, asked) FROM ${pointInTimeJoin(spine, 'asked', resolved.views)}`,
    );
    return { ...resolved, row };
  });
}

test('features come by their full names, those of a service first, each view by the columns that its join names', async () => {
  const { columns, row, pinned } = await resolve({ service: 'lanes', features: ['market:value', 'price:value'] });
  expect(columns.map(({ column }) => column)).toEqual(['target__value', 'price__value', 'market__value']);
  expect(row).toEqual({ target__value: null, price__value: 7, market__value: 100 });
  expect(pinned.map(({ name, view: of }) => [name, of])).toEqual([['target', 'price'], ['price', 'price'], ['market', 'market']]); // prettier-ignore
  expect(new Set(pinned.slice(0, 2).map(({ snapshot }) => snapshot)).size).toBe(1);
});

test('a view without known-at says in a sentence that corrections rewrite its history, and so does a mode that does not look', async () => {
  const features = ['price:value', 'market:value'];
  const said = async (options: Partial<JoinOptions>) =>
    (await resolve({ features }, options)).pinned.map(({ bitemporal, history }) => [bitemporal, history]);
  expect(await said({})).toEqual([
    [false, 'Corrections rewrite its history: the view has no known-at column.'],
    [true, 'Its history is kept: each row saw what was known at its instant.'],
  ]);
  expect((await said({ mode: 'feast' }))[1]).toEqual([false, 'Corrections rewrite its history: it was joined in the mode feast.']); // prettier-ignore
});

test('short names are the features’ own', async () => {
  expect((await resolve({ features: ['price:value'], naming: 'short' })).row).toEqual({ value: 7 });
});

test.each<[string, object, string, RegExp]>([
  ['two features of one short name', { features: ['price:value', 'market:value'], naming: 'short' }, 'feature_names_collide', /price:value and market:value would both be called value/], // prettier-ignore
  ['full names that meet', { features: ['a:b__value', 'a__b:value'], joins: [{ name: 'a', view: 'price', keys: {} }, { name: 'a__b', view: 'price', keys: {} }] }, 'feature_names_collide', /a__b__value/], // prettier-ignore
  ['a feature that is none', { features: ['price:worth'] }, 'reference_unknown', /has no feature worth; it has value/],
  ['a service that is none', { service: 'nothing' }, 'resource_unknown', /FeatureService "nothing"/],
  ['a join of a key that is none', { features: ['p:value'], joins: [{ name: 'p', view: 'price', keys: { store: 'shop' } }] }, 'join_invalid', /maps store, but the keys of "price" are shop/], // prettier-ignore
  ['keys for a view without', { features: ['m:value'], joins: [{ name: 'm', view: 'market', keys: { shop: 'shop' } }] }, 'join_invalid', /are none/], // prettier-ignore
  ['two joins of one name', { service: 'lanes', joins: [{ name: 'target', view: 'market', keys: {} }] }, 'join_invalid', /Two joins are called "target"/], // prettier-ignore
  ['a column that the spine lacks', { features: ['p:value'], joins: [{ name: 'p', view: 'price', keys: { shop: 'store' } }] }, 'join_invalid', /The spine has no column "store", which key "shop" of "p" is compared with; it has shop, to_shop, asked/], // prettier-ignore
  ['a column of a type that equals no key', { features: ['p:value'], joins: [{ name: 'p', view: 'price', keys: { shop: 'asked' } }] }, 'join_invalid', /is TIMESTAMP, but key "shop" of "p" is compared with it and is VARCHAR/], // prettier-ignore
  ['a view without a commit', { features: ['empty:value'] }, 'features_not_materialized', /has no commit/],
])('%s is refused', async (_, selection, code, message) => {
  await expect(resolve(selection as Partial<Selection>)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  });
});

test.each([
  ['is not there', 'when', /has no column "when" for its event time; it has shop/],
  ['is no instant', 'shop', /is VARCHAR; it must be a TIMESTAMP/],
])('an event time that %s is refused', (_, eventTime, message) => {
  expect(() => requireFit(spineColumns, eventTime, [])).toThrow(message);
});

const keyed = (type: string) => ({
  ...{ name: 'p', eventTime: 'at', knownAt: null, ttlMicros: null, mode: 'known_at' as const, distinct: true },
  ...{ keys: [{ column: 'id', type, spine: 'id' }], features: [{ column: 'value', as: 'value' }], content: ['value'] },
});
test.each([
  ['INTEGER', '16777217', 'FLOAT', '16777216', null],
  ['INTEGER', '16777216', 'FLOAT', '16777216', 7],
  ['BIGINT', '9007199254740993', 'DOUBLE', '9007199254740992', null],
  ['BIGINT', '9007199254740992', 'DOUBLE', '9007199254740992', 7],
  ['INTEGER', '4', 'DOUBLE', '3.5', null],
  ['INTEGER', '4', 'DECIMAL(9,1)', '3.5', null],
  ['SMALLINT', '4', 'BIGINT', '4', 7],
  ['FLOAT', '0.1', 'DECIMAL(6,1)', '0.1', 7],
  ['DOUBLE', '0.1', 'DECIMAL(15,14)', '0.1', 7],
  ['DOUBLE', '0.1', 'DECIMAL(15,14)', '0.10000000000001', null],
  ['DOUBLE', '0.1', 'FLOAT', '0.1', null],
  ['DOUBLE', '-0.0', 'DOUBLE', '0.0', 7],
  ['FLOAT', '0.0', 'DOUBLE', '-0.0', 7],
  ['BIGINT', '0', 'DOUBLE', '-0.0', 7],
  ['DOUBLE', "'nan'", 'FLOAT', "'nan'", 7],
  ['DATE', "'2001-01-05'", 'TIMESTAMP', "'2001-01-05 00:00:00'", 7],
  ['DATE', "'2001-01-05'", 'TIMESTAMP', "'2001-01-05 12:00:00'", null],
  ['DATE', "'2001-01-05'", 'TIMESTAMP WITH TIME ZONE', "'2001-01-05 02:00:00+02:00'", 7],
  ['SMALLINT', '4', 'BIGINT', '65540', null],
])(
  'the key %s %s is joined with %s %s only where they are equal: %j',
  async (type, key, spineType, value, expected) => {
    const relation = `(SELECT ${key}::${type} AS id, TIMESTAMP '2001-01-01' AS "at", 7 AS value)`;
    const spine = `(SELECT ${value}::${spineType} AS id, TIMESTAMP '2001-01-02' AS asked)`;
    requireFit([{ name: 'id', type: spineType }, { name: 'asked', type: 'TIMESTAMP' }], 'asked', [{ ...keyed(type), relation }]); // prettier-ignore
    const rows = await lake.query(
      `SELECT value FROM ${pointInTimeJoin(spine, 'asked', [{ ...keyed(type), relation }])}`,
    );
    expect(rows).toEqual([{ value: expected }]);
  },
);

test('minus zero and zero are one key: the newest of both their facts counts', async () => {
  const relation = `(SELECT k::DOUBLE AS id, TIMESTAMP '2001-01-01' + to_days(v::INTEGER) AS "at", v AS value FROM (VALUES (-0.0::DOUBLE, 1), (0.0, 2), (-0.0, 3), (0.0, 4)) t(k, v))`;
  const spine = `(SELECT k AS id, TIMESTAMP '2001-01-01' + to_days(d::INTEGER) AS asked, d FROM (VALUES (-0.0::DOUBLE), (0.0)) s(k), range(1, 5) r(d))`;
  const view = { ...keyed('DOUBLE'), relation, distinct: false };
  const rows = await lake.query<{ d: string; value: number }>(`SELECT d, value FROM ${pointInTimeJoin(spine, 'asked', [view])}`); // prettier-ignore
  expect(rows).toHaveLength(8);
  for (const { d, value } of rows) expect(value).toBe(Number(d));
});

test.each([
  ['INTEGER', 'FLOAT'],
  ['BIGINT', 'DOUBLE'],
  ['DECIMAL(7,1)', 'FLOAT'],
  ['DECIMAL(16,0)', 'DOUBLE'],
])('numbers of %s are not compared with a key of %s, which rounds them', (spine, key) => {
  const columns = [{ name: 'id', type: spine }, { name: 'asked', type: 'TIMESTAMP' }]; // prettier-ignore
  expect(() => requireFit(columns, 'asked', [{ ...keyed(key), relation: 'none' }])).toThrow(/cast it in the spine/);
});

test('a window that was never computed is an error, and one that rows do not need is not', async () => {
  const features = ['price:value'];
  await expect(resolve({ features }, { range: rangeOf(3) })).rejects.toMatchObject({ code: 'features_not_materialized' }); // prettier-ignore
  await expect(resolve({ features }, { range: null })).resolves.toMatchObject({ row: { price__value: 7 } });
});

test('a pinned state is read again, and so is the one of an instant, whatever was committed since', async () => {
  const features = ['price:value'];
  const { pinned } = await resolve({ features });
  const pins = { price: pinned[0] as NonNullable<(typeof pinned)[0]> };
  const [then] = await database.db.query<{ at: never }>('SELECT max(committed_at) AS at FROM commits');
  await commit('price', 1, 'shop', 8);
  expect((await resolve({ features })).row).toEqual({ price__value: 8 });
  expect((await resolve({ features }, { pins })).row).toEqual({ price__value: 7 });
  const before = await resolve({ features }, { systemTime: then?.at });
  expect([before.row, before.pinned]).toEqual([{ price__value: 7 }, pinned]);
  await expect(resolve({ features }, { systemTime: day(1) })).rejects.toMatchObject({ code: 'snapshot_unknown' });
});
