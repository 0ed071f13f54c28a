import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Resource } from '../../../domain/resources.js';
import { project } from './rides.js';
import { startServed, type Served } from './served.js';

interface Recall {
  readonly late: number;
  readonly fresh: number;
  readonly all: number;
}

const script = fileURLToPath(new URL('./late_data.py', import.meta.url));
const startMs = 600_000;
const scriptMs = 180_000;
let served: Served;
beforeAll(async () => {
  served = await startServed();
}, startMs);
afterAll(() => served?.stop());

const view = {
  kind: 'FeatureView',
  name: 'late_trips',
  spec: {
    entity: 'driver',
    sources: ['late_trips_file'],
    sql: 'SELECT driver_id, event_timestamp AS event_time, created, trips FROM late_trips_file',
    knownAt: 'created',
    lookback: '1d',
    features: [{ name: 'trips', type: 'BIGINT' }],
  },
};

test(
  'rows that arrive after their day are all online here, and never by Feast’s own incremental materialization',
  async () => {
    const path = join(served.world.home, 'data', 'late_trips.parquet');
    const source = {
      kind: 'Source',
      name: 'late_trips_file',
      spec: { path, eventTime: 'event_timestamp', knownAt: 'created' },
    };
    await served.world.apply(
      [source, view].map((one) => Resource.parse(one)),
      project,
    );
    const { stdout } = await promisify(execFile)(served.python, ['-I', script, served.world.home, served.url], {
      timeout: scriptMs,
    });
    const { feast, eider } = JSON.parse(stdout) as { feast: Recall; eider: Recall };
    const percent = ({ late, fresh, all }: Recall) =>
      [late, fresh, all].map((share) => `${(100 * share).toFixed(1)} %`).join(', ');
    console.log(
      `recall of late rows, of fresh rows, of all drivers. Feast: ${percent(feast)}. Eider: ${percent(eider)}.`,
    );
    expect(eider).toEqual({ late: 1, fresh: 1, all: 1 });
    expect(feast.late).toBeLessThan(1);
    expect(feast.all).toBeLessThan(1);
    expect(feast.fresh).toBe(1);
  },
  scriptMs,
);
