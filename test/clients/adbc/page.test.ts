import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../../apps/config.js';
import { adbcPython } from './adbc.js';
import { startServed, type Served } from './served.js';

const scriptMs = 60_000;
let served: Served;
beforeAll(async () => {
  served = await startServed();
}, 300_000);
afterAll(() => served?.stop());

test(
  'the Python of docs/flight-sql.md works as it stands',
  async () => {
    await served.lake.add('origin_hour', [
      "SELECT * FROM (VALUES ('ORD', 20), ('DEN', 12), ('SYR', 3)) t(origin, departures)",
    ]);
    const page = await readFile(join(projectRoot, 'docs', 'flight-sql.md'), 'utf8');
    const scripts = [...page.matchAll(/^```python\n(.*?)^```/gms)].map(([, script = '']) => script);
    const printed = [];
    for (const script of scripts) {
      const here = script.replace('grpc://127.0.0.1:8815', served.flight.url);
      printed.push((await promisify(execFile)(await adbcPython(), ['-I', '-c', here], { timeout: scriptMs })).stdout);
    }
    expect(printed).toEqual([
      "[{'origin': 'DEN', 'departures': 12}, {'origin': 'ORD', 'departures': 20}]\n",
      "['origin', 'departures']\n",
    ]);
  },
  2 * scriptMs,
);
