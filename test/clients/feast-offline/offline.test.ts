import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { askProgram, type Asked } from '../asked.js';
import { startShops, type Shops } from '../joins/shops.js';

/** Feast's client as it is, with `offline_store: {type: remote}` at Flight, beside its own store over the same rows. */

const startMs = 300_000;
let shops: Shops;
let feast: Asked;
beforeAll(async () => {
  const { cache, python } = loadConfig();
  const lockFile = fileURLToPath(new URL('../feast/requirements.lock', import.meta.url));
  const command = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'feast', python });
  shops = await startShops();
  const files = `${shops.lake.folder}/objects/eider/features/price@r1/*/*.parquet`;
  await shops.lake.write('price.parquet', `SELECT * FROM read_parquet('${files}')`);
  const program = fileURLToPath(new URL('./client.py', import.meta.url));
  feast = askProgram(command, [program, shops.lake.folder, '127.0.0.1', String(shops.flight.port)]);
}, startMs);
afterAll(async () => {
  await feast?.stop();
  await shops?.stop();
});

test.each([
  ['by references', { rows: 2000 }, ['event_timestamp', 'name', 'request', 'shop', 'value']],
  ['by a service, with full names', { rows: 500, service: true, full: true, feature: 'price__value' }, ['event_timestamp', 'price__name', 'price__value', 'request', 'shop']], // prettier-ignore
])('get_historical_features() %s equals Feast’s own answer', async (_, asked, columns) => {
  const got = await feast.ask<{ found: number }>('historical', asked);
  expect(got).toMatchObject({ columns, rows: asked.rows, different: [] });
  expect(got.found).toBeGreaterThan(asked.rows / 2);
});

test('entity rows may be SQL over the tables of the project', async () => {
  const sql = `SELECT shop, event_time AS event_timestamp FROM features.price WHERE event_time = TIMESTAMP '2026-01-05' AND shop IN (1, 2) ORDER BY shop`;
  expect(await feast.ask('sql', { sql })).toMatchObject([
    { shop: 1, name: 'shop 1' },
    { shop: 2, name: 'shop 2' },
  ]);
});

test.each([
  ['pull_latest_from_table_or_query', 500],
  ['pull_all_from_table_or_query', 3000],
])('%s equals Feast’s own answer', async (api, rows) => {
  expect(await feast.ask('pull', { api })).toEqual({ rows, same: true });
});

test('the columns of a data source are those of its view', async () => {
  expect(await feast.ask('types')).toEqual([
    ['shop', 'BIGINT'],
    ['event_time', 'TIMESTAMP'],
    ['known_at', 'TIMESTAMP'],
    ['value', 'DOUBLE'],
    ['name', 'VARCHAR'],
  ]);
});

test.each([
  ['unknown', 'FeatureViewNotFoundException', /There is no FeatureView "nothing"/],
  ['write', 'FeastError', /Rows are pushed by the API/],
  ['none', 'FeastError', /Features are joined to rows/],
])('what is asked for in vain (%s) is an exception of Feast’s', async (what, type, message) => {
  const refused = await feast.refusal('refuse', { what });
  expect(refused.message).toMatch(message);
  expect(refused.type).toBe(type);
});
