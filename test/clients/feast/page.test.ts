import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { projectRoot } from '../../../apps/config.js';
import { Resource } from '../../../domain/resources.js';
import { project } from './rides.js';
import { startServed, type Served } from './served.js';

const startMs = 600_000;
const scriptMs = 120_000;
let served: Served;
let folder: string;
beforeAll(async () => {
  served = await startServed();
  folder = await mkdtemp(join(tmpdir(), 'eider-feast-'));
}, startMs);
afterAll(async () => {
  await served?.stop();
  await rm(folder, { recursive: true, force: true });
});

test(
  'docs/feast.md works as it stands',
  async () => {
    const page = await readFile(join(projectRoot, 'docs', 'feast.md'), 'utf8');
    const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```/gms)].map(([, language, text = '']) => ({ language, text }));
    const [resources, store] = blocks.filter(({ language }) => language === 'yaml');
    const script = blocks.find(({ language }) => language === 'python');
    const { world, url, python } = served;
    const at = `TIMESTAMPTZ '2026-01-02 10:00:00+00'`;
    const path = await world.write(
      'trips.parquet',
      `SELECT 1::BIGINT AS driver_id, ${at} AS event_timestamp, ${at} AS created, 42::BIGINT AS trips, 4.5::DOUBLE AS rating`,
    );
    const declared = parseAllDocuments(resources?.text ?? '').map((document) => Resource.parse(document.toJS()));
    for (const { kind, spec } of declared) if (kind === 'Source') Object.assign(spec, { path });
    await world.apply(declared, project);
    await mkdir(join(folder, 'data'));
    await promisify(execFile)('cp', [path, join(folder, 'data', 'trips.parquet')]);
    await writeFile(join(folder, 'feature_store.yaml'), (store?.text ?? '').replace('http://127.0.0.1:8080', url));
    await writeFile(join(folder, 'rides.py'), script?.text ?? '');
    const { stdout } = await promisify(execFile)(python, ['-I', 'rides.py'], { cwd: folder, timeout: scriptMs });
    expect(stdout.trim().split('\n').at(-1)).toBe("{'driver_id': [1, 7], 'trips': [42, 1], 'rating': [4.5, 5.0]}");
  },
  scriptMs,
);
