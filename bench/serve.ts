import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { loadConfig } from '../apps/config.js';
import { supervisedFlag } from '../apps/lifecycle.js';
import { instant } from '../domain/instants.js';
import { defaultProject } from '../domain/ids.js';
import { sha256 } from '../domain/json.js';
import { anonymous } from '../domain/principal.js';
import type { Signature } from '../domain/serving.js';
import { postgresProgram, postgresUrl } from '../programs/postgres.js';
import { launch, waitReady } from '../programs/program.js';
import type { Launched, Program } from '../programs/program.js';
import { pythonEnvironment } from '../programs/python.js';
import { until } from '../programs/waiting.js';
import { migrate, openDatabase } from '../store/db.js';
import type { Database } from '../store/db.js';
import { announceRollout, instanceStates, shiftTraffic } from '../store/deployment.js';
import { createProject } from '../store/resources.js';
import { median } from './figure.js';
import type { Figure } from './figure.js';
import { freePort, quantile, runLoad } from './serve-load.js';

const endpoint = 'forest';
const columns = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const signature: Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, columns.length], columns }],
  outputs: [{ name: 'prediction', datatype: 'FP32', shape: [-1] }],
};
const rate = { perSecond: 200, seconds: 2 };
const roundsDefault = 5;
/** Until the just-in-time compilers of the server are done with it. */
const warmUp = { perSecond: 200, seconds: 12 };
const startMs = 60_000;
const p99MsTarget = 5;

/**
 * One row a request over REST at 200 requests/s, with the inference log on PostgreSQL with fsync: an instance in a process of
 * its own, a forest of 100 trees. The median of the rounds counts, so that a disturbance from outside does not decide. Throws when a request fails or a row is missing from the log.
 */
export async function serveBench(rounds = roundsDefault): Promise<Figure[]> {
  const home = await mkdtemp(join(tmpdir(), 'eider-bench-'));
  const running: Launched[] = [];
  const start = async (program: Program) => {
    const launched = await launch(program, () => undefined);
    running.unshift(launched);
    await waitReady(program, launched, startMs);
  };
  try {
    const [postgresPort, port] = [await freePort(), await freePort()];
    const postgres = { home, port: postgresPort, cacheDir: loadConfig().cache };
    await start(postgresProgram(postgres));
    const databaseUrl = (await postgresUrl(postgres)) ?? '';
    const db = openDatabase({ url: databaseUrl });
    const inputs = await register(db, home);
    await start(instanceProgram(home, port, databaseUrl));
    await deploy(db);
    const figures = await measure(db, `http://127.0.0.1:${port}`, inputs, rounds);
    await db.close();
    return figures;
  } finally {
    for (const launched of running) await launched.end();
    await rm(home, { recursive: true, force: true });
  }
}

async function measure(db: Database, url: string, inputs: readonly number[][], rounds: number): Promise<Figure[]> {
  const bodies = inputs.map((data) =>
    JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, columns.length], data }] }),
  );
  const load = { url, path: `/v2/models/${endpoint}/infer`, bodies };
  const results = [await runLoad({ ...load, ...warmUp })];
  while (results.length <= rounds) results.push(await runLoad({ ...load, ...rate }));
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  if (failed > 0) throw new Error(`${failed} requests failed.`);
  const sent = results.reduce((sum, { sorted }) => sum + sorted.length, 0);
  const [logged] = await db.query<{ rows: number }>('SELECT count(*)::int AS rows FROM inference_log');
  if (logged?.rows !== sent) throw new Error(`${sent} rows were answered, ${logged?.rows} are in the inference log.`);

  const title = `Inference of one row over REST at ${rate.perSecond} requests/s`;
  const figure = (share: number, target: Figure['target']): Figure => {
    const ms = round(median(results.slice(1).map(({ sorted }) => quantile(sorted, share))));
    return { name: `${title}, p${share * 100}`, unit: 'ms', ours: ms, peer: null, beside: '', judged: ms, target };
  };
  return [figure(0.5, null), figure(0.99, { atMost: p99MsTarget })];
}

const round = (ms: number): number => Math.round(ms * 100) / 100;

function instanceProgram(home: string, port: number, databaseUrl: string): Program {
  const { projectRoot } = loadConfig();
  return {
    name: 'serve',
    guarded: false,
    stop: { signal: 'SIGTERM', graceMs: 10_000 },
    prepare: async () => ({
      file: process.execPath,
      args: [join(projectRoot, 'dist', 'apps', 'serve', 'main.js'), supervisedFlag],
      env: {
        ...loadConfig().environment,
        EIDER_HOME: home,
        DATABASE_URL: databaseUrl,
        EIDER_INFERENCE_PORT: String(port),
      },
    }),
    ready: async (saidReady) => saidReady,
  };
}

/** Makes the model and records it as version 1; returns rows to ask about. */
async function register(db: Database, home: string): Promise<number[][]> {
  const { cache: cacheDir, python, projectRoot } = loadConfig();
  const lockFile = join(projectRoot, 'trainers', 'lightgbm', 'requirements.lock');
  const interpreter = await pythonEnvironment({ cacheDir, python, lockFile, name: 'lightgbm' });
  await promisify(execFile)(interpreter, ['-I', join(projectRoot, 'bench', 'peers', 'forest.py'), home]);
  const artifacts = join(home, 'artifacts');
  await mkdir(artifacts);
  await copyFile(join(home, 'model.onnx'), join(artifacts, 'model.onnx'));
  const digest = sha256(await readFile(join(artifacts, 'model.onnx')));
  const golden = JSON.parse(await readFile(join(home, 'golden.json'), 'utf8')) as { inputs: number[][] };

  await migrate(db, join(projectRoot, 'store', 'migrations'));
  await createProject(db, defaultProject, anonymous);
  const run = '1'.padStart(32, '0');
  await db.query(
    `INSERT INTO runs (project, id, model, model_revision, as_of, trigger, status, workflow_id, principal)
     VALUES ($1, $2, $3, 1, now(), '{}', 'finished', 'bench', 'bench')`,
    [defaultProject, run, endpoint],
  );
  await db.query(
    `INSERT INTO versions (project, model, version, run_id, digest, model_key, signature, golden, lineage, principal)
     VALUES ($1, $2, 1, $3, $4, 'model.onnx', $5, $6, '{}', 'bench')`,
    [defaultProject, endpoint, run, digest, JSON.stringify(signature), JSON.stringify(golden)],
  );
  return golden.inputs;
}

async function deploy(db: Database): Promise<void> {
  const dataInstant = instant('2001-03-05');
  const announcement = { id: 'bench', endpoint, model: endpoint, version: 1, dataInstant, workflowId: 'bench' };
  const rollout = await announceRollout(db, defaultProject, announcement, anonymous);
  const ready = async () => {
    const states = await instanceStates(db, defaultProject, rollout);
    const refused = states.find(({ state }) => state === 'failed');
    if (refused) throw new Error(`The instance refused the model: ${refused.reason}`);
    return states.length > 0 && states.every(({ state }) => state === 'ready');
  };
  if (!(await until(ready, startMs))) throw new Error('The instance did not load the model.');
  await shiftTraffic(db, defaultProject, rollout.id, 'bench', anonymous);
  const switched = async () => {
    const metrics = await fetch(`${(await instanceStates(db, defaultProject, rollout))[0]?.url}/metrics`);
    return /eider_serving_version\{.*\} 1/.test(await metrics.text());
  };
  if (!(await until(switched, startMs))) throw new Error('The instance does not serve the model.');
}
