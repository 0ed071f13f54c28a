import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig, projectRoot } from '../../../apps/config.js';
import type { Metrics } from '../../../domain/evaluation.js';
import { metricNames } from '../../../domain/resources.js';
import { openEngine, quoteText, type Engine } from '../../../lake/duckdb.js';
import { binaryMetrics } from '../../../lake/metrics.js';
import { pythonEnvironment } from '../../../programs/python.js';

/** The same predictions, judged by us and by scikit-learn. */

const here = join(projectRoot, 'test', 'clients', 'statistics');
const environmentTimeoutMs = 10 * 60_000;

type Theirs = Metrics & { readonly calibration: [mean: number, share: number][] };
interface Judged {
  readonly overall: Theirs;
  readonly slices: Record<string, Theirs>;
}

let engine: Engine;
let python: string;
let folder: string;

beforeAll(async () => {
  const config = loadConfig();
  python = await pythonEnvironment({
    cacheDir: config.cache,
    lockFile: join(here, 'requirements.lock'),
    name: 'statistics',
    python: config.python,
  });
  folder = await mkdtemp(join(tmpdir(), 'eider-metrics-'));
  engine = await openEngine({ threads: 2, memoryLimit: '1GB', tempDirectory: folder, allowedDirectories: [folder] });
}, environmentTimeoutMs);
afterAll(async () => {
  engine?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A number from 0 to 1 that depends on the row alone. */
const random = (seed: number) => `(hash(i * 31 + ${seed}) % 1000003) / 1000002.0::DOUBLE`;
const origin = `CASE WHEN i % 50 = 0 THEN NULL WHEN i % 3 = 0 THEN 'JFK' WHEN i % 7 = 0 THEN 'LGA' ELSE 'EWR' END AS origin`;

test.each([
  ['that are all different', 20_000, `${random(1)}`, 'DOUBLE'],
  ['with many ties', 20_000, `round(${random(1)}, 2)`, 'DOUBLE'],
  ['on the edges of the bins', 5_000, `(i % 11) * 0.1`, 'DOUBLE'],
  ['that are certain', 1_000, `CAST(i % 2 AS DOUBLE)`, 'DOUBLE'],
  ['close to 0', 20_000, `pow(${random(1)}, 12)`, 'DOUBLE'],
  ['that are all equal', 1_000, `0.2`, 'DOUBLE'],
  ['in float32', 20_000, `${random(1)}`, 'FLOAT'],
  ['in float32, certain', 1_000, `CAST(i % 2 AS DOUBLE)`, 'FLOAT'],
  ['of a million rows', 1_000_000, `pow(${random(1)}, 2)`, 'DOUBLE'],
])('predictions %s have scikit-learn’s figures', async (_, rows, prediction, type) => {
  const path = join(folder, 'scored.parquet');
  const ours = await engine.session(async (session) => {
    await session.run(`COPY (
      SELECT CAST(least(${prediction}, 1) AS ${type}) AS p, ${random(2)} < 0.1 + 0.6 * p AS late, ${origin} FROM range(${rows}) rows(i)
    ) TO ${quoteText(path)} (FORMAT parquet)`);
    const relation = `read_parquet([${quoteText(path)}])`;
    return binaryMetrics(session, { relation, label: 'late', prediction: 'p', slices: ['origin'] });
  });
  const { stdout } = await promisify(execFile)(python, [join(here, 'metrics.py'), path]);
  const theirs = JSON.parse(stdout) as Judged;
  expectEqual(ours.overall, theirs.overall);
  expect(ours.slices).toHaveLength(4);
  for (const { value, metrics } of ours.slices) expectEqual(metrics, theirs.slices[value ?? '']);
  const bins = ours.calibration.filter(({ rows }) => rows > 0);
  expect(bins).toHaveLength(theirs.overall.calibration.length);
  for (const [index, [mean, share]] of theirs.overall.calibration.entries()) {
    expect(bins[index]?.meanPrediction).toBeCloseTo(mean, 9);
    expect(bins[index]?.positiveShare).toBeCloseTo(share, 9);
  }
});

const differenceMax = 1e-9;

function expectEqual(ours: Metrics, theirs: Metrics | undefined): void {
  expect(ours).toMatchObject({ rows: theirs?.rows, positives: theirs?.positives });
  for (const name of metricNames) {
    const [mine, other] = [ours[name], theirs?.[name] ?? null];
    if (mine === null || other === null) expect([name, mine]).toEqual([name, other]);
    else expect(Math.abs(mine - other)).toBeLessThan(differenceMax * Math.max(1, Math.abs(other)));
  }
}
