import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../../apps/config.js';
import { hashKey, keyLine } from '../../../domain/keys.js';
import { defaultProject, type Instant, type ProjectName } from '../../../domain/ids.js';
import { plusMicros } from '../../../domain/instants.js';
import { anonymous } from '../../../domain/principal.js';
import { Resource } from '../../../domain/resources.js';
import { localObjects } from '../../../lake/objects.js';
import { writeWindow } from '../../../lake/snapshots.js';
import { applyResources, createProject } from '../../../store/resources.js';
import { commitWindow } from '../../../store/snapshots.js';
import { withDatabase, type TestDatabase } from '../../support/database.js';
import { withLake, type TestLake } from '../../support/lake.js';
import { freePort } from '../../programs/started.js';

/** The Flight service in a process of its own, over views in real PostgreSQL and Parquet. */
export interface FuzzedServer {
  readonly port: number;
  readonly database: TestDatabase;
  /** How it ended; null while it runs. */
  death(): string | null;
  rssBytes(): number;
  openFiles(): number;
  /** Streams that hold snapshots. */
  leases(): Promise<number>;
  /** Files of calls that are there still; not what was pushed, which is copied for a minute. */
  scratchFiles(): string[];
  /** What it wrote to its log that is not `info`. */
  log(): string;
  stop(): Promise<void>;
}

export const keys = { alice: 'alice-may-everything', bob: 'bob-may-other' } as const;
export const knownRows = 1_000;

const view = (name: string, entity: string | undefined, features: object[]) => ({
  ...{ kind: 'FeatureView', name },
  spec: { ...(entity ? { entity } : {}), sources: ['rows'], sql: 'SELECT * FROM rows', lookback: '0s', features },
});
const resources = [
  { kind: 'Source', name: 'rows', spec: { path: 'rows.parquet', eventTime: 'event_time' } },
  { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'BIGINT' }] } },
  view('known', undefined, [{ name: 'n', type: 'BIGINT' }, { name: 'label', type: 'VARCHAR' }]),
  view('price', 'shop', [{ name: 'value', type: 'DOUBLE' }, { name: 'name', type: 'VARCHAR' }]),
  view('market', undefined, [{ name: 'index', type: 'BIGINT' }]),
].map((resource) => Resource.parse(resource)); // prettier-ignore

const start = '2026-01-01T00:00:00.000000Z' as Instant;
const dayCount = 10;
const dayMicros = 86_400_000_000;
const moments = `range(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-11', INTERVAL 1 HOUR) AS t(moment)`;
const views = {
  known: [{ event_time: 'TIMESTAMP', n: 'BIGINT', label: 'VARCHAR' }, `(SELECT TIMESTAMP '2026-01-01' + to_minutes(i) AS event_time, i AS n, 'label ' || i AS label FROM range(${knownRows}) AS r(i))`],
  price: [{ shop: 'BIGINT', event_time: 'TIMESTAMP', value: 'DOUBLE', name: 'VARCHAR' }, `(SELECT shop, moment AS event_time, shop / 8.0 AS value, 'shop ' || shop AS name FROM range(20) AS s(shop), ${moments})`],
  market: [{ event_time: 'TIMESTAMP', index: 'BIGINT' }, `(SELECT moment AS event_time, epoch(moment)::BIGINT AS index FROM ${moments})`],
} as const; // prettier-ignore

async function fill({ db }: TestDatabase, lake: TestLake, root: string): Promise<void> {
  await createProject(db, 'other' as ProjectName, anonymous);
  await applyResources(db, defaultProject, resources, anonymous);
  const objects = localObjects(root);
  for (const [name, [types, relation]] of Object.entries(views)) {
    const columns = Object.entries(types).map(([column, type]) => ({ name: column, type }));
    const folder = `${defaultProject}/features/${name}@r1`;
    const table = { project: defaultProject, schema: 'features', name, revision: 1 } as const;
    await lake.in(async (session) => {
      const writer = { session, objects, relation, columns, orderBy: ['event_time'], folder };
      for (let day = 0; day < dayCount; day++) {
        const of = { start: plusMicros(start, day * dayMicros), end: plusMicros(start, (day + 1) * dayMicros) };
        const planned = { ...of, sourceFingerprint: name, predecessor: null };
        const window = await writeWindow(writer, 'event_time', planned);
        const commit = { table, columns, window, sourceVersion: 'v', predecessor: null, workflowId: 'w', principal: anonymous }; // prettier-ignore
        await commitWindow(db, commit);
      }
    });
  }
}

function writeKeys(home: string): string {
  const path = join(home, 'flight.keys');
  const line = (name: keyof typeof keys, projects: readonly ProjectName[] | 'all') =>
    keyLine({ name, hash: hashKey(keys[name]), projects, expiresAt: null });
  writeFileSync(path, [line('alice', 'all'), line('bob', ['other' as ProjectName]), ''].join('\n'));
  return path;
}

export async function startFuzzed(): Promise<FuzzedServer> {
  const [database, lake] = await Promise.all([withDatabase(), withLake()]);
  const home = lake.folder;
  mkdirSync(join(home, 'lake'));
  await fill(database, lake, join(home, 'lake'));
  const port = await freePort();
  const child = spawn(process.execPath, [join(projectRoot, 'dist/apps/flight/main.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{
        EIDER_HOME: home,
        DATABASE_URL: database.url,
        EIDER_FLIGHT_PORT: String(port),
        PATH: process.env.PATH ?? '',
      },
      ...{ EIDER_FLIGHT_KEYS: writeKeys(home), EIDER_FLIGHT_STATEMENT_TIME: '3s', EIDER_MEMORY_LIMIT: '512MB' },
      ...{ EIDER_FLIGHT_CACHE: '64MB' },
    },
  });
  const said = await ready(child);
  const pid = child.pid ?? 0;
  const scratch = [join(home, 'tmp'), join(home, 'flight-spill')];
  return {
    ...{ port, database },
    death: () => (child.exitCode === null && child.signalCode === null ? null : `${child.exitCode} ${child.signalCode}`),
    rssBytes: () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
    openFiles: () => readdirSync(`/proc/${pid}/fd`).length,
    async leases() {
      const [row] = await database.db.query<{ n: number }>(`SELECT count(*)::int AS n FROM leases WHERE holder LIKE 'stream/%'`);
      return row?.n ?? -1;
    },
    scratchFiles: () => scratch.flatMap(filesUnder).filter((name) => !name.startsWith('pushed-')),
    log: () => said().split('\n').filter((line) => line !== '' && !line.includes('"level":"info"')).join('\n'),
    async stop() {
      const gone = once(child, 'exit');
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGTERM')) await gone;
      await lake.close();
      await database.close();
    },
  }; // prettier-ignore
}

function filesUnder(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => name); // prettier-ignore
  } catch {
    return []; // It is made when it is needed.
  }
}

const logCharactersMax = 2 ** 20;

/** Resolves when it takes calls, with what it has said until now. */
async function ready(child: ChildProcess): Promise<() => string> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-logCharactersMax);
      if (said.includes('"ready":true')) resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', (code) => reject(new Error(`Flight ended with ${code} before it was ready: ${said}`)));
  });
  return () => said;
}
