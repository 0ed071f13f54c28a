import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startFlight, type FlightServer } from '../../../apps/flight/server.js';
import { openScratch } from '../../../apps/flight/joins/feature.js';
import { projectRoot } from '../../../apps/config.js';
import { createLogger } from '../../../apps/log.js';
import { joinSpine } from '../../../activities/spine.js';
import { DatasetSpec } from '../../../domain/datasets.js';
import { defaultProject, type Instant } from '../../../domain/ids.js';
import { plusMicros } from '../../../domain/instants.js';
import { anonymous } from '../../../domain/principal.js';
import { Resource } from '../../../domain/resources.js';
import { quoteText } from '../../../lake/duckdb.js';
import { localObjects, type Objects } from '../../../lake/objects.js';
import { writeWindow } from '../../../lake/snapshots.js';
import { joinCatalogue } from '../../../store/joins.js';
import { applyResources } from '../../../store/resources.js';
import { commitWindow } from '../../../store/snapshots.js';
import { spineTables } from '../../../store/spine-tables.js';
import { tables } from '../../../store/tables.js';
import { withDatabase, type TestDatabase } from '../../support/database.js';
import { withLake, type TestLake } from '../../support/lake.js';

/** Two views over ten days of January 2026, in real PostgreSQL and Parquet, and the Flight service on them. */
export interface Shops {
  readonly flight: FlightServer;
  readonly database: TestDatabase;
  readonly lake: TestLake;
  /** Where Flight keeps files of calls. */
  readonly scratch: string;
  /** Commits one more state of a day of `price`, in which everything costs so much. */
  reprice(day: number, price: number): Promise<void>;
  /** What a training set of this declaration holds, by the code that builds training sets, as a Parquet file. */
  dataset(spec: object, file: string): Promise<string>;
  stop(): Promise<void>;
}

export const shopCount = 500;
export const dayCount = 10;
const dayMicros = 86_400_000_000;
const dayOf = (number: number): Instant =>
  plusMicros('2026-01-01T00:00:00.000000Z' as Instant, (number - 1) * dayMicros);

const view = (name: string, entity: string | undefined, features: object[], more: object = {}) => ({
  ...{ kind: 'FeatureView', name },
  spec: {
    ...(entity ? { entity } : {}),
    ...{ sources: ['rows'], sql: 'SELECT * FROM rows', lookback: '0s', features, ...more },
  },
});
const resources = [
  { kind: 'Source', name: 'rows', spec: { path: 'rows.parquet', eventTime: 'event_time' } },
  { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'BIGINT' }] } },
  view('price', 'shop', [{ name: 'value', type: 'DOUBLE' }, { name: 'name', type: 'VARCHAR' }], { knownAt: 'known_at', ttl: '3h' }), // prettier-ignore
  view('market', undefined, [{ name: 'index', type: 'BIGINT' }]),
  view('empty', 'shop', [{ name: 'value', type: 'DOUBLE' }]),
  {
    ...{ kind: 'FeatureService', name: 'offers' },
    spec: {
      features: ['price:value', 'rival:value'],
      joins: [{ name: 'rival', view: 'price', keys: { shop: 'rival' } }],
    },
  },
].map((resource) => Resource.parse(resource));

const columnsOf = {
  price: { shop: 'BIGINT', event_time: 'TIMESTAMP', known_at: 'TIMESTAMP', value: 'DOUBLE', name: 'VARCHAR' },
  market: { event_time: 'TIMESTAMP', index: 'BIGINT' },
} as const;
type View = keyof typeof columnsOf;

/** Each shop has a price every hour, known some minutes later. */
const rowsOf: Readonly<Record<View, string>> = {
  price: `(SELECT shop, moment AS event_time, moment + to_minutes((shop * 7 + hour(moment)) % 40) AS known_at,
    CASE WHEN (shop + hour(moment)) % 11 > 0 THEN (hash(shop, moment) % 10000) / 8.0 END AS value, 'shop ' || shop AS name
    FROM range(${shopCount}) AS s(shop), range(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-01' + INTERVAL ${dayCount} DAY, INTERVAL 1 HOUR) AS t(moment))`,
  market: `(SELECT moment AS event_time, epoch(moment)::BIGINT AS index FROM range(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-01' + INTERVAL ${dayCount} DAY, INTERVAL 10 MINUTE) AS t(moment))`,
};

export async function startShops(): Promise<Shops> {
  const [database, lake] = await Promise.all([withDatabase(), withLake()]);
  const { db } = database;
  const objects = localObjects(join(lake.folder, 'objects'));
  await mkdir(objects.root);
  await applyResources(db, defaultProject, resources, anonymous);
  const heads = new Map<string, number>();
  const commit = (name: View, number: number, relation: string) => commitDay(database, lake, objects, heads, name, number, relation); // prettier-ignore
  for (const name of ['price', 'market'] as const)
    for (let number = 1; number <= dayCount; number++) await commit(name, number, rowsOf[name]);
  const scratch = await openScratch(join(lake.folder, 'tmp'));
  const flight = await startFlight({
    ...{ host: '127.0.0.1', port: 0, lakeRoot: objects.root, protoFolder: join(projectRoot, 'proto') },
    ...{ tables: tables(db), log: createLogger('flight', 'error', () => undefined) },
    joins: { catalogue: joinCatalogue(db), spines: spineTables(db), scratch, threads: 2 },
  });
  return {
    ...{ flight, database, lake, scratch },
    reprice: (number, price) => commit('price', number, `(SELECT * REPLACE (${price} AS value) FROM ${rowsOf.price})`),
    async dataset(spec, file) {
      const path = join(lake.folder, file);
      const dependencies = { db, lake: objects, access: lake.access(), scratch: lake.folder };
      await lake.in(async (session) => {
        const { numbered } = await joinSpine(dependencies, session, defaultProject, DatasetSpec.parse(spec));
        await session.run(`COPY (SELECT * EXCLUDE ("#row") FROM ${numbered} ORDER BY "#row") TO ${quoteText(path)} (FORMAT parquet)`); // prettier-ignore
      });
      return path;
    },
    async stop() {
      await flight.stop(0);
      await lake.close();
      await database.close();
    },
  };
}

async function commitDay(
  { db }: TestDatabase,
  lake: TestLake,
  objects: Objects,
  heads: Map<string, number>,
  name: View,
  number: number,
  relation: string,
): Promise<void> {
  const columns = Object.entries(columnsOf[name]).map(([column, type]) => ({ name: column, type }));
  const head = `${name}/${number}`;
  await lake.in(async (session) => {
    const planned = { start: dayOf(number), end: dayOf(number + 1), sourceFingerprint: `${head} ${heads.size}`, predecessor: null }; // prettier-ignore
    const folder = `${defaultProject}/features/${name}@r1`;
    const writer = { session, objects, relation, columns, orderBy: ['event_time'], folder };
    const window = await writeWindow(writer, 'event_time', planned);
    const committed = await commitWindow(db, {
      ...{
        table: { project: defaultProject, schema: 'features', name, revision: 1 },
        columns,
        window,
        sourceVersion: 'v',
      },
      ...{ predecessor: heads.get(head) ?? null, workflowId: 'w', principal: anonymous },
    });
    heads.set(head, committed.commit);
  });
}

export const joinsProgram = fileURLToPath(new URL('./client.py', import.meta.url));
