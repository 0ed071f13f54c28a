import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ApiClient } from '../apps/cli/client.js';
import { demoApi } from '../apps/cli/demo-api.js';
import { loadConfig } from '../apps/config.js';
import type { ProjectName } from '../domain/ids.js';
import { quoteText, type Engine } from '../lake/duckdb.js';
import { feastPython } from './data.js';
import type { Figure } from './figure.js';
import type { BenchHome } from './home.js';

interface Recall {
  readonly late: number;
  readonly all: number;
}

const project = 'late' as ProjectName;

const resourcesOver = (path: string) => [
  { kind: 'Source', name: 'late_trips_file', spec: { path, eventTime: 'event_timestamp', knownAt: 'created' } },
  { kind: 'Entity', name: 'driver', spec: { keys: [{ name: 'driver_id', type: 'BIGINT' }] } },
  {
    kind: 'FeatureView',
    name: 'late_trips',
    spec: {
      ...{ entity: 'driver', sources: ['late_trips_file'], lookback: '1d', knownAt: 'created' },
      sql: 'SELECT driver_id, event_timestamp AS event_time, created, trips FROM late_trips_file',
      features: [{ name: 'trips', type: 'BIGINT' }],
    },
  },
];

/** The script of the client’s tests: the same calls of Feast on its own store and on ours, of rows one in a hundred late. */
export async function lateFigures(home: BenchHome, engine: Engine): Promise<Figure[]> {
  await mkdir(join(home.folder, 'data'), { recursive: true });
  const path = join(home.folder, 'data', 'late_trips.parquet');
  // What is declared must be there; the script puts its own rows in its place.
  const at = "TIMESTAMPTZ '2026-01-01'";
  await engine.session(
    (session) =>
    session.run(`COPY (SELECT 0::BIGINT AS driver_id, ${at} AS event_timestamp, ${at} AS created, 0::BIGINT AS trips) TO ${quoteText(path)} (FORMAT parquet)`), // prettier-ignore
  );
  // Feast's materialize asks for all views of a project: here that is this one.
  await home.api.post('/projects', { name: project });
  const api = demoApi(new ApiClient({ url: home.url, project }));
  await api.post('/apply', { resources: resourcesOver(path) });
  const script = join(loadConfig().projectRoot, 'test', 'clients', 'feast', 'late_data.py');
  const { stdout } = await promisify(execFile)(await feastPython(), [
    '-I',
    script,
    home.folder,
    `${home.url}/projects/${project}`,
  ]);
  const { feast, eider } = JSON.parse(stdout) as { feast: Recall; eider: Recall };
  const figure = (name: string, ours: number, peer: number): Figure => ({
    ...{ name, unit: '%', ours: 100 * ours, peer: 100 * peer, judged: 100 * ours },
    ...{ beside: 'Feast, incremental, SQLite, same script', target: { atLeast: 100 } },
  });
  return [
    figure('recall of rows that arrive after their day', eider.late, feast.late),
    figure('recall of all rows, one in a hundred late', eider.all, feast.all),
  ];
}
