import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiClient } from '../apps/cli/client.js';
import { demoApi, type DemoApi } from '../apps/cli/demo-api.js';
import { startDev, type Dev } from '../apps/cli/dev.js';
import { createOutput } from '../apps/cli/dev-output.js';
import { loadConfig } from '../apps/config.js';
import { defaultProject } from '../domain/ids.js';
import { benchFolder } from './data.js';

export const portBase = 28_080;
/** Of one DuckDB; what a worker holds beside it is little. */
const memoryLimit = '2500MB';

export interface BenchHome {
  readonly api: DemoApi;
  /** Where its state lies. */
  readonly folder: string;
  /** Where the API is. */
  readonly url: string;
  /** Where Flight is. */
  readonly flight: string;
  /** Posts, and waits for the workflow that was started. */
  work<Result>(path: string, body: object): Promise<Result>;
  /** The most memory that a process ever had, in GiB. */
  peakGiB(name: string): Promise<number>;
}

/** Everything that `eider dev` starts, on an empty home, as long as the work takes. */
export async function withHome<Result>(name: string, work: (home: BenchHome) => Promise<Result>): Promise<Result> {
  const config = loadConfig();
  const home = join(benchFolder, name);
  await rm(home, { recursive: true, force: true });
  const output = createOutput({ home, show: null, tell: () => undefined, colour: false });
  const environment = { ...config.environment, EIDER_MEMORY_LIMIT: memoryLimit };
  const dev = await startDev({ config: { ...config, home, environment }, output, portBase });
  const api = demoApi(new ApiClient({ url: dev.addresses.api, project: defaultProject }));
  try {
    return await work({
      ...{ api, url: dev.addresses.api, flight: dev.addresses.flight, folder: home },
      work: async (path, body) => api.result((await api.post<{ workflowId: string }>(path, body)).workflowId),
      peakGiB: (process) => peakGiB(dev, process),
    });
  } finally {
    await dev.stop();
    output.close();
    await rm(home, { recursive: true, force: true });
  }
}

async function peakGiB(dev: Dev, name: string): Promise<number> {
  const status = await readFile(`/proc/${dev.pidOf(name)}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? NaN) / 2 ** 20;
}

/** A view of doubles by `user_id` over a Parquet file that has them. */
export const viewOver = (name: string, features: readonly string[], path: string) => [
  { kind: 'Source', name: `${name}_rows`, spec: { path, eventTime: 'event_time' } },
  { kind: 'Entity', name: 'user_id', spec: { keys: [{ name: 'user_id', type: 'BIGINT' }] } },
  {
    kind: 'FeatureView',
    name,
    spec: {
      ...{ entity: 'user_id', sources: [`${name}_rows`], lookback: '0d' },
      sql: `SELECT user_id, event_time, ${features.join(', ')} FROM ${name}_rows`,
      features: features.map((feature) => ({ name: feature, type: 'DOUBLE' })),
    },
  },
];
