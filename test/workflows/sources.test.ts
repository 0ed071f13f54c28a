import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DuckDBInstance } from '@duckdb/node-api';
import { parseAllDocuments } from 'yaml';
import { createActivities } from '../../activities/index.js';
import { projectRoot } from '../../apps/config.js';
import type { MaterializeView } from '../../domain/features.js';
import { defaultProject, type ResourceName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { Resource } from '../../domain/resources.js';
import { quoteText } from '../../lake/duckdb.js';
import { tables } from '../../store/tables.js';
import { sourcesPython, writeTable } from '../clients/sources/python.js';
import { startS3, type TestS3 } from '../clients/sources/s3.js';
import { withWorld, type World } from '../support/world.js';

/** The examples of docs/sources.md, applied and materialized over a real source of each format. */

let world: World;
let s3: TestS3;
let declared: Extract<Resource, { kind: 'Source' }>[];
let steps: ReturnType<typeof createActivities>;
const data = () => join(world.home, 'data');

const orders = `SELECT TIMESTAMP '2001-01-01' + to_hours(i) AS ordered_at, (i % 3)::BIGINT AS customer, i::DOUBLE AS amount FROM range(72) t(i)`;

beforeAll(async () => {
  let python: string;
  [world, s3, python] = await Promise.all([withWorld({ worker: false }), startS3('warehouse'), sourcesPython()]);
  await mkdir(join(data(), 'orders'));
  const parquet = await world.write('orders/1.parquet', orders);
  await s3.put('orders/1.parquet', await readFile(parquet));
  await writeFile(join(data(), 'orders.csv'), 'amount,customer,ordered_at\n1,1,2001-01-01\n');
  await writeFile(join(data(), 'orders.json'), '{"amount": 1, "customer": 1, "ordered_at": "2001-01-01"}\n');
  await world.db.query(`CREATE TABLE public.orders AS SELECT timestamptz '2001-01-01Z' + i * interval '1 hour' AS ordered_at, i % 3 AS customer, i::float8 AS amount FROM generate_series(0, 71) AS i`); // prettier-ignore
  await writeTable(python, {
    format: 'delta',
    folder: join(data(), 'orders_delta'),
    first: 0,
    end: 72,
    mode: 'append',
  });
  await writeTable(python, { format: 'iceberg', folder: join(data(), 'orders_iceberg'), first: 0, end: 72, mode: 'append' }); // prettier-ignore
  await inDuckLake(`CREATE TABLE lake.orders AS ${orders}`);
  const access = {
    roots: [data(), 's3://warehouse'],
    connections: { shop: world.databaseUrl },
    imports: { ...world.access.imports!, s3: s3.access },
  };
  steps = createActivities({ ...world, access });
  declared = await examples();
}, 300_000);
afterAll(async () => {
  await Promise.all([world.close(), s3.close()]);
});

async function inDuckLake(sql: string): Promise<void> {
  const extension = await world.access.imports?.extension('ducklake');
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(`LOAD ${quoteText(extension ?? '')}`);
  await connection.run(`ATTACH ${quoteText(`ducklake:${join(data(), 'shop.ducklake')}`)} AS lake (DATA_PATH ${quoteText(join(data(), 'shop'))})`); // prettier-ignore
  await connection.run(sql);
  connection.closeSync();
  instance.closeSync();
}

/** As the command line sends them: with absolute paths. */
async function examples(): Promise<typeof declared> {
  const page = await readFile(join(projectRoot, 'docs', 'sources.md'), 'utf8');
  return [...page.matchAll(/```yaml\n(.*?)```/gs)]
    .flatMap(([, block = '']) => parseAllDocuments(block).map((document) => Resource.parse(document.toJS())))
    .filter((one) => one.kind === 'Source')
    .map((one) => {
      const { path } = one.spec;
      if (path === undefined || path.startsWith('s3://') || isAbsolute(path)) return one;
      return { ...one, spec: { ...one.spec, path: join(world.home, path) } };
    });
}

const step = <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>, ...args: Args) =>
  new MockActivityEnvironment({ workflowExecution: { workflowId: 'm', runId: 'r' } }).run(work, ...args) as Promise<Result>; // prettier-ignore

/** A view of the day's rows, over one example. */
const viewOf = ({ name, spec }: (typeof declared)[number]): Resource =>
  Resource.parse({
    kind: 'FeatureView',
    name: `${name}_days`,
    spec: {
      sources: [name],
      sql: `SELECT date_trunc('day', "${spec.eventTime}") AS event_time, count(*) AS orders, sum(hash("${spec.eventTime}") % 1000) AS checked FROM ${name} GROUP BY ALL`,
      lookback: '0s',
      features: [
        { name: 'orders', type: 'BIGINT' },
        { name: 'checked', type: 'BIGINT' },
      ],
    },
  });

async function materialize(view: string) {
  const input: MaterializeView = {
    ...{ project: defaultProject, view: view as ResourceName, revision: 1, principal: 'test' },
    ...{ start: instant('2001-01-01'), end: instant('2001-01-04') },
  };
  const plan = await step(steps.planWindows, input);
  if (plan.windows.length === 0) return { plan, committed: 0 };
  const made = await step(steps.materializeWindows, { ...input, windows: plan.windows, sourceVersion: plan.sourceVersion }); // prettier-ignore
  return { plan, committed: made.committed };
}

const ordersOf = async (view: string) => {
  const table = await tables(world.db).resolve(defaultProject, 'features', view);
  const files = table.files.map(({ key }) => quoteText(world.lake.path(key))).join(', ');
  const [row] = await world.query<{ orders: number }>(
    `SELECT sum(orders)::INT AS orders FROM read_parquet([${files}])`,
  );
  return row?.orders;
};

test('every example is applied without a problem, and its view as well', async () => {
  expect(declared.map(({ spec }) => spec.format)).toEqual([
    ...['parquet', 'csv', 'json', 'parquet', 'postgres', 'delta', 'iceberg', 'ducklake'],
  ]);
  const resources = [...declared, ...declared.map(viewOf)];
  expect(await step(steps.checkResources, { project: defaultProject, resources })).toEqual([]);
  await world.apply(resources);
}, 60_000);

test.each([
  ...['orders_parquet', 'orders_csv', 'orders_json', 'orders_s3', 'orders_postgres'],
  ...['orders_delta', 'orders_iceberg', 'orders_ducklake'],
])(
  '%s is materialized window by window, and no copy stays behind',
  async (name) => {
    expect((await materialize(`${name}_days`)).committed).toBe(3);
    expect(await ordersOf(`${name}_days`)).toBe(/csv|json/.test(name) ? 1 : 72);
    const again = await materialize(`${name}_days`);
    expect(again.committed).toBe(0);
    // PostgreSQL does not tell its version: its rows were looked at, and are the same.
    expect(again.plan.found).toMatchObject(name === 'orders_postgres' ? { current: 3 } : { untouched: 3 });
    expect((await readdir(join(world.home, 'tmp'))).filter((file) => file.startsWith('copy_'))).toEqual([]);
  },
  60_000,
);

test.each([
  [
    'orders_postgres',
    () => world.db.query("UPDATE public.orders SET amount = amount + 1 WHERE ordered_at = '2001-01-02 05:00Z'"),
  ],
  [
    'orders_ducklake',
    () => inDuckLake("UPDATE lake.orders SET amount = amount + 1 WHERE ordered_at = '2001-01-02 05:00:00'"),
  ],
])(
  'a changed row of %s is found, and only its window is computed again',
  async (name, change) => {
    await change();
    const { plan, committed } = await materialize(`${name}_days`);
    expect(plan.windows.map(({ start }) => start)).toEqual([instant('2001-01-02')]);
    expect(committed).toBe(1);
  },
  60_000,
);

test('rows of PostgreSQL that change between plan and computation are committed under their own fingerprint', async () => {
  const input: MaterializeView = {
    ...{ project: defaultProject, view: 'orders_postgres_days' as ResourceName, revision: 1, principal: 'test' },
    ...{ start: instant('2001-01-01'), end: instant('2001-01-04') },
  };
  await world.db.query("UPDATE public.orders SET amount = -1 WHERE ordered_at = '2001-01-03 05:00Z'");
  const plan = await step(steps.planWindows, input);
  await world.db.query("DELETE FROM public.orders WHERE ordered_at = '2001-01-03 05:00Z'");
  await step(steps.materializeWindows, { ...input, windows: plan.windows, sourceVersion: plan.sourceVersion });
  expect(await ordersOf('orders_postgres_days')).toBe(71);
  expect((await step(steps.planWindows, input)).windows).toEqual([]);
}, 60_000);

test('a column that disappears is said of the view, and nothing is committed', async () => {
  await world.write('orders/1.parquet', `SELECT ordered_at AS "when", customer FROM (${orders})`);
  await expect(materialize('orders_parquet_days')).rejects.toMatchObject({ code: expect.stringMatching(/source_/) });
  expect(await ordersOf('orders_parquet_days')).toBe(72);
});
