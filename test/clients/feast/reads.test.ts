import { beyond, hard } from './rides.js';
import { post, startServed, type Answer, type Served } from './served.js';

/** The same calls to Feast's own server, over its own store, and to us: equal answers but for what docs/feast.md lists. */

const startMs = 600_000;
const range = { start: '2026-01-01T00:00:00', end: '2026-02-01T00:00:00' };
const stats = ['conv_rate', 'acc_rate', 'trips', 'balance', 'note', 'active', 'last_seen'].map(
  (name) => `driver_stats:${name}`,
);

let served: Served;
let theirs: string;
beforeAll(async () => {
  served = await startServed();
  await served.feast.ask('materialize', { store: 'local', ...range });
  await served.feast.ask('materialize', range);
  theirs = (await served.serve()).url;
}, startMs);
afterAll(() => served?.stop());

const both = async (path: string, body: unknown): Promise<[Answer, Answer]> => [
  await post(theirs, path, body),
  await post(served.url, path, body),
];

interface Vectors {
  readonly metadata: { readonly feature_names: string[]; readonly feature_view_metadata?: { name: string }[] };
  readonly results: readonly object[];
}

/** The columns by name: in which order the features of one view come is chance in Feast, and what was asked here. */
function columnsOf({ status, body }: Answer, keys = 1) {
  const { metadata, results } = body as Vectors;
  return {
    status,
    keys: metadata.feature_names.slice(0, keys),
    columns: Object.fromEntries(metadata.feature_names.map((name, at) => [name, results[at]])),
    views: metadata.feature_view_metadata?.map(({ name }) => name),
    more: Object.keys(body as object).sort(),
  };
}

test.each<[string, number, object]>([
  ['of several entities', 1, { entities: { driver_id: [1001, 1003, 1002, 5] }, features: stats }],
  ['of an entity that is asked twice', 1, { entities: { driver_id: [1002, 1001, 1002] }, features: stats }],
  ['by a key that is text', 1, { entities: { driver_id: ['1001', '5'] }, features: stats }],
  ['by the name of the entity', 1, { entities: { driver: [1001] }, features: stats }],
  [
    'of the latest version, by its name',
    1,
    { entities: { driver_id: [1001] }, features: ['driver_stats@latest:trips'] },
  ],
  [
    'of several views, with full names, composite keys and a column that is nothing',
    2,
    {
      entities: { driver_id: [1001, 1001, 1002], nothing: [1, 2, 3], customer_id: ['a', 'b', 'b'] },
      features: ['pair_stats:rides', 'driver_stats:trips', 'fleet:price', 'pair_stats:rating'],
      full_feature_names: true,
      include_feature_view_version_metadata: true,
    },
  ],
  [
    'of a view with two keys, the second a number',
    2,
    { entities: { customer_id: [1], driver_id: [1001] }, features: ['pair_stats:rides'] },
  ],
  ['of a view without entity', 0, { entities: { nothing: [1, 2] }, features: ['fleet:price'] }],
  [
    'of a feature service with renamed keys',
    3,
    { entities: { driver_id: [1001, 1], who: [1002, 1001], customer_id: ['b', 'b'] }, feature_service: 'ride_inputs' },
  ],
  [
    'of a feature service, with full names',
    3,
    {
      entities: { driver_id: [1001], customer_id: ['b'], who: [1002] },
      feature_service: 'ride_inputs',
      full_feature_names: true,
    },
  ],
])('values %s are Feast’s', async (_, keys, body) => {
  const [feast, eider] = await both('/get-online-features', body);
  expect(feast.status).toBe(200);
  expect(columnsOf(eider, keys)).toEqual(columnsOf(feast, keys));
  expect(eider.headers['content-type']).toMatch(/^application\/json/);
});

const driver = { entities: { driver_id: [1001] } };
test.each<[string, string, object]>([
  ['an unknown view', '/get-online-features', { ...driver, features: ['nothing:x'] }],
  ['an unknown service', '/get-online-features', { ...driver, feature_service: 'nothing' }],
  ['an unknown push source', '/push', { push_source_name: 'nothing', df: { a: [1] } }],
  ['a write to an unknown view', '/write-to-online-store', { feature_view_name: 'nothing', df: { a: [1] } }],
  [
    'a materialization of an unknown view',
    '/materialize',
    { start_ts: '2026-01-01', end_ts: '2026-02-01', feature_views: ['nothing'] },
  ],
  [
    'an empty data frame',
    '/write-to-online-store',
    { feature_view_name: 'driver_day', df: { driver_id: [], event_timestamp: [], trips: [] } },
  ],
  ['a materialization of nothing', '/materialize', { start_ts: '2026-01-01', end_ts: '2026-02-01', feature_views: [] }],
])('the answer to %s is Feast’s to the letter', async (_, path, body) => {
  const [feast, eider] = await both(path, body);
  expect({ status: eider.status, body: eider.body }).toEqual({ status: feast.status, body: feast.body });
});

/** Feast's client repeats a 500 three times and then hides what was said. */
test.each<[string, string, object]>([
  ['an unknown feature', '/get-online-features', { ...driver, features: ['driver_stats:nothing'] }],
  ['a key as a feature', '/get-online-features', { ...driver, features: ['driver_stats:driver_id'] }],
  ['a reference without a feature', '/get-online-features', { ...driver, features: ['driver_stats'] }],
  ['no features', '/get-online-features', driver],
  [
    'two features of one name',
    '/get-online-features',
    { ...driver, features: ['driver_stats:trips', 'driver_day:trips'] },
  ],
  [
    'a full name twice',
    '/get-online-features',
    { ...driver, features: ['driver_stats:trips', 'driver_stats:trips'], full_feature_names: true },
  ],
  [
    'columns of unequal length',
    '/get-online-features',
    { entities: { driver_id: [1, 2], customer_id: ['a'] }, features: ['pair_stats:rides'] },
  ],
  ['a push to nowhere', '/push', { push_source_name: 'driver_stats', df: { a: [1] }, to: 'moon' }],
  [
    'a frame of unequal columns',
    '/write-to-online-store',
    { feature_view_name: 'driver_day', df: { driver_id: [1, 2], trips: [1] } },
  ],
  ['a range without its start', '/materialize', { end_ts: '2026-02-01', feature_views: ['driver_day'] }],
])('%s is refused with Feast’s words, as the caller’s mistake', async (_, path, body) => {
  const [feast, eider] = await both(path, body);
  expect([feast.status, eider.status]).toEqual([500, 422]);
  const theirs = saidBy(feast.body);
  const ours = saidBy(eider.body);
  expect(ours.message).toContain(theirs.message);
  if (theirs.class) expect(ours.class).toBe(theirs.class);
  else expect(ours.class).toBe('FeastError');
});

/** A JSON string that holds JSON, or for Python's own exceptions only the words. */
function saidBy(body: unknown): { class?: string; message: string } {
  try {
    return JSON.parse(body as string) as { class: string; message: string };
  } catch {
    return { message: (body as string).replace(/^'|'$/g, '') };
  }
}

interface Detail {
  readonly detail: { loc: (string | number)[] }[];
}
test.each<[string, unknown]>([
  ['without entities', { features: ['driver_stats:trips'] }],
  ['with entities that are no lists', { entities: { driver_id: 1001 }, features: ['driver_stats:trips'] }],
  ['that is no JSON', 'not json'],
])('a body %s is refused with 422, at the same place', async (_, body) => {
  const [feast, eider] = await both('/get-online-features', body);
  expect([feast.status, eider.status]).toEqual([422, 422]);
  const placesOf = (answer: Answer) =>
    (answer.body as Detail).detail.map(({ loc }) => loc.filter((one) => typeof one === 'string'));
  expect(placesOf(eider)).toEqual(placesOf(feast));
});

test('where Feast’s store bends values, ours are what the files say', async () => {
  const [feast, eider] = await both('/get-online-features', { entities: { driver_id: [hard] }, features: stats });
  const valuesOf = (answer: Answer) => {
    const { columns } = columnsOf(answer) as { columns: Record<string, { values: unknown[]; statuses: string[] }> };
    return Object.fromEntries(
      Object.entries(columns).map(([name, { values, statuses }]) => [name, [values[0], statuses[0]]]),
    );
  };
  // A NULL is PRESENT there; a NULL timestamp is a number, not a number is a NULL.
  expect(valuesOf(feast)).toMatchObject({
    trips: [null, 'PRESENT'],
    last_seen: [-(2 ** 63), 'PRESENT'],
    acc_rate: [null, 'PRESENT'],
  });
  expect(valuesOf(eider)).toEqual({
    driver_id: [hard, 'PRESENT'],
    conv_rate: [null, 'NULL_VALUE'],
    acc_rate: ['NaN', 'PRESENT'],
    trips: [null, 'NULL_VALUE'],
    balance: [Number(beyond), 'PRESENT'],
    note: [null, 'NULL_VALUE'],
    active: [null, 'NULL_VALUE'],
    last_seen: [null, 'NULL_VALUE'],
  });
  // The event time keeps its microseconds, and whole numbers all of their digits.
  const asked = { entities: { driver_id: [hard] }, features: ['driver_stats:balance'] };
  const { text } = await post(served.url, '/get-online-features', asked);
  expect(text).toContain(
    `{"values":[${beyond}],"statuses":["PRESENT"],"event_timestamps":["2026-01-02T14:00:00.123456Z"]}`,
  );
});

test('a key that a service renames is found wherever its column stands, which Feast manages in one order only', async () => {
  const entities = { who: [1002], customer_id: ['b'], driver_id: [1001] };
  const [feast, eider] = await both('/get-online-features', { entities, feature_service: 'ride_inputs' });
  expect(columnsOf(feast, 3).columns['rides']).toMatchObject({ values: [null], statuses: ['NOT_FOUND'] });
  expect(columnsOf(eider, 3).columns['rides']).toMatchObject({ values: [6], statuses: ['PRESENT'] });
});

test('a value beyond its TTL is shown by Feast, and kept back here', async () => {
  const [feast, eider] = await both('/get-online-features', { ...driver, features: ['driver_day:trips'] });
  const event_timestamps = ['2026-01-02T10:00:00Z'];
  expect(columnsOf(feast).columns['trips']).toEqual({ values: [3], statuses: ['PRESENT'], event_timestamps });
  expect(columnsOf(eider).columns['trips']).toEqual({
    values: [null],
    statuses: ['OUTSIDE_MAX_AGE'],
    event_timestamps,
  });
});

test.each<[string, object, RegExp]>([
  ['half a driver', { driver_id: [1001.5] }, /entities\.driver_id\.0.*whole number/],
  ['no number', { driver_id: ['abc'] }, /entities\.driver_id\.0.*whole number/],
  ['a list', { driver_id: [[1]] }, /Lists and maps/],
  ['without a key of the view', { customer_id: ['a'] }, /Missing join key values for keys: \['driver_id'\]/],
])('an entity that is %s is refused', async (_, entities, message) => {
  const answer = await post(served.url, '/get-online-features', { entities, features: ['driver_stats:trips'] });
  expect(answer.status).toBe(422);
  expect(saidBy(answer.body)).toMatchObject({ class: 'FeastError', message: expect.stringMatching(message) as string });
});

test('a NULL key finds nothing, and a key beyond 2^53 only itself', async () => {
  const body = `{"entities": {"driver_id": [null, 1001, ${beyond}, 9007199254740992]}, "features": ["driver_stats:trips"]}`;
  const { columns } = columnsOf(await post(served.url, '/get-online-features', body));
  expect(columns['trips']).toMatchObject({ statuses: ['NOT_FOUND', 'PRESENT', 'NOT_FOUND', 'NOT_FOUND'] });
  await post(served.url, '/write-to-online-store', pair(beyond, 41));
  const read = `{"entities": {"driver_id": [${beyond}, 9007199254740992], "customer_id": ["c", "c"]}, "features": ["pair_stats:rides"]}`;
  expect(columnsOf(await post(served.url, '/get-online-features', read), 2).columns['rides']).toMatchObject({
    values: [41, null],
  });
});

const pair = (driverId: number | string, rides: number) =>
  `{"feature_view_name": "pair_stats", "df": {"driver_id": [${driverId}], "customer_id": ["c"], "event_timestamp": ["2026-01-03T00:00:00"],
    "created": ["2026-01-03T00:00:00"], "rides": [${rides}], "rating": [1e3], "extra": ["ignored"]}}`;

test('a written row is read back as from Feast', async () => {
  const written = await both('/write-to-online-store', pair(77, 8));
  expect(written.map(({ status, body }) => ({ status, body }))).toEqual([
    { status: 200, body: null },
    { status: 200, body: null },
  ]);
  const asked = { entities: { driver_id: [77], customer_id: ['c'] }, features: ['pair_stats:rides'] };
  const [feast, eider] = await both('/get-online-features', asked);
  expect(columnsOf(feast, 2).columns['rides']).toMatchObject({ values: [8], statuses: ['PRESENT'] });
  expect(columnsOf(eider, 2)).toEqual(columnsOf(feast, 2));
});

test('a pushed row is read back as from Feast, seconds of a timestamp and all', async () => {
  const at = '2026-01-04T00:00:00Z';
  const df = {
    ...{ driver_id: [88], event_timestamp: [at], created: [at], conv_rate: [0.1], acc_rate: [1.5], trips: [3] },
    ...{ balance: [1], note: ['n'], active: [true], last_seen: [1767243967] },
  };
  for (const answer of await both('/push', { push_source_name: 'driver_stats', df, to: 'online' }))
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: null });
  const [feast, eider] = await both('/get-online-features', { entities: { driver_id: [88] }, features: stats });
  expect(columnsOf(eider)).toEqual(columnsOf(feast));
});

test('health is an empty 200, and search is refused with our words', async () => {
  for (const url of [theirs, served.url, served.root]) {
    const answer = await fetch(`${url}/health`);
    expect([answer.status, await answer.text()]).toEqual([200, '']);
  }
  const refused = await post(served.url, '/search', { features: ['driver_stats:trips'], query: [1], top_k: 1 });
  expect([refused.status, saidBy(refused.body).class]).toEqual([501, 'FeastError']);
  expect(saidBy((await post(`${served.root}/projects/nothing`, '/get-online-features', {})).body)).toMatchObject({
    class: 'ProjectNotFoundException',
  });
  const elsewhere = await post(served.root, '/get-online-features', { ...driver, features: ['driver_stats:trips'] });
  expect(saidBy(elsewhere.body).message).toBe('Feature view driver_stats does not exist in project eider');
});
