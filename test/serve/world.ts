import { cp, mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { Agent, IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { loadConfig, projectRoot } from '../../apps/config.js';
import { createLogger } from '../../apps/log.js';
import { startServing } from '../../apps/serve/start.js';
import type { ServeSettings, Serving } from '../../apps/serve/start.js';
import { instant } from '../../domain/instants.js';
import { defaultProject } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { GoldenRows } from '../../domain/serving.js';
import { postgresProgram, postgresUrl } from '../../programs/postgres.js';
import type { Launched } from '../../programs/program.js';
import { until } from '../../programs/waiting.js';
import { migrate, openDatabase } from '../../store/db.js';
import type { Database } from '../../store/db.js';
import { announceRollout, closeRollout, instanceStates, shiftTraffic } from '../../store/deployment.js';
import type { InstanceState, Rollout } from '../../store/deployment.js';
import { createProject } from '../../store/resources.js';
import { serving } from '../../store/serving.js';
import { goldenOf, modelFile, riskSignature, sha256Of } from '../models/fixtures/risk.js';
import { freePort, started, temporaryFolder } from '../programs/started.js';
import { withDatabase } from '../support/database.js';

/** A PostgreSQL of its own, models registered in it, and inference instances that run in this process. */
export interface World {
  readonly db: Database;
  readonly home: string;
  /** Registers a version of model `risk`; `bytes` puts another file in its place afterwards. */
  register(file: 'risk' | 'risk2', change?: { golden?: GoldenRows; bytes?: string }): Promise<number>;
  announce(version: number, endpoint?: string): Promise<Rollout>;
  /** What the instances say of a rollout, once each of them says something. */
  answers(rollout: Rollout): Promise<InstanceState[]>;
  shift(rollout: Rollout): Promise<void>;
  cancel(rollout: Rollout): Promise<void>;
  /** Announces, waits until every live instance is ready, shifts traffic, and waits until the instance answers with it. */
  deploy(version: number, at?: Serving): Promise<Rollout>;
  serve(settings?: Partial<ServeSettings>): Promise<Serving>;
  readonly postgres: { stop(): Promise<void>; start(): Promise<void> };
  stop(): Promise<void>;
}

export const deadlineMs = 20_000;
const asOf = instant('2001-03-05');

/** Polls until the value is there; the last error is the failure. */
export async function eventually<Value>(ask: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value> {
  let value: Value | undefined;
  const held = await until(async () => holds((value = await ask())), deadlineMs, { everyMs: 20 });
  if (!held) throw new Error(`Not so after ${deadlineMs} ms; the last value was ${JSON.stringify(value)}.`);
  return value as Value;
}

/** `ownPostgres` is for tests that stop it; the others share a server. */
export async function startWorld({ ownPostgres = false } = {}): Promise<World> {
  const { path: home, remove } = await temporaryFolder();
  const { db, url, postgres, close } = ownPostgres ? await startPostgres(home) : await sharedPostgres();
  const servings = new Set<Serving>();
  let [runs, rollouts] = [0, 0];

  const world: World = {
    db,
    home,
    async register(file, { golden = goldenOf(file), bytes } = {}) {
      const run = String(++runs).padStart(32, '0');
      await db.query(
        `INSERT INTO runs (project, id, model, model_revision, as_of, trigger, status, workflow_id, principal)
         VALUES ($1, $2, 'risk', 1, $3, '{}', 'finished', 'train', 'test')`,
        [defaultProject, run, asOf],
      );
      const rows = await db.query<{ version: number }>(
        `INSERT INTO versions (project, model, version, run_id, digest, model_key, signature, golden, lineage, principal)
         VALUES ($1, 'risk', $2, $3, $4, $5, $6, $7, '{}', 'test') RETURNING version`,
        [
          defaultProject,
          runs,
          run,
          sha256Of(file),
          `models/${run}.onnx`,
          JSON.stringify(riskSignature),
          JSON.stringify(golden),
        ],
      );
      const target = join(home, 'artifacts', 'models', `${run}.onnx`);
      await mkdir(join(home, 'artifacts', 'models'), { recursive: true });
      await (bytes === undefined ? cp(modelFile(file), target) : writeFile(target, bytes));
      return rows[0]?.version ?? 0;
    },
    announce(version, endpoint = 'risk') {
      const id = `rollout-${++rollouts}`;
      const announcement = { id, endpoint, model: 'risk', version, dataInstant: asOf, workflowId: 'deploy' };
      return announceRollout(db, defaultProject, announcement, anonymous);
    },
    answers: (rollout) =>
      eventually(
        () => instanceStates(db, defaultProject, rollout),
        (states) => states.length > 0 && states.every(({ state }) => state !== null),
      ),
    async shift(rollout) {
      await shiftTraffic(db, defaultProject, rollout.id, 'test', anonymous);
    },
    async cancel(rollout) {
      await closeRollout(db, defaultProject, rollout.id, 'cancelled', 'test');
    },
    async deploy(version, at) {
      const rollout = await world.announce(version);
      const states = await world.answers(rollout);
      const refused = states.find(({ state }) => state !== 'ready');
      if (refused) throw new Error(`${refused.instance} refused version ${version}: ${refused.reason}`);
      await world.shift(rollout);
      if (at) {
        const answer = () => http(at, 'POST', '/v2/models/risk/infer', oneRow([1, 2, 3]));
        await eventually(answer, ({ json }) => json.model_version === String(version));
      }
      return rollout;
    },
    async serve(settings = {}) {
      const own = openDatabase({ url, poolMax: 4 });
      const serving_ = await startServing({
        instance: 'serve-1',
        host: '127.0.0.1',
        port: 0,
        artifacts: join(home, 'artifacts'),
        store: serving(own),
        log: createLogger('serve', 'error', () => undefined),
        version: '0.0.0',
        ...settings,
      });
      const stop = async () => {
        if (!servings.delete(running)) return;
        await serving_.stop();
        await own.close();
      };
      const running = { url: serving_.url, stop };
      servings.add(running);
      return running;
    },
    postgres,
    async stop() {
      await Promise.all([...servings].map((running) => running.stop()));
      await close();
      await remove();
    },
  };
  return world;
}

interface Postgres extends Pick<World, 'db' | 'postgres'> {
  readonly url: string;
  readonly close: () => Promise<void>;
}

async function sharedPostgres(): Promise<Postgres> {
  const refuse = () => Promise.reject(new Error('Other tests share this PostgreSQL; ask for an own one.'));
  return { ...(await withDatabase()), postgres: { stop: refuse, start: refuse } };
}

async function startPostgres(home: string): Promise<Postgres> {
  const port = await freePort();
  const program = postgresProgram({ home, port, cacheDir: loadConfig().cache });
  let launched: Launched = await started(program);
  const url = (await postgresUrl({ home, port })) ?? '';
  const db = openDatabase({ url });
  await migrate(db, join(projectRoot, 'store', 'migrations'));
  await createProject(db, defaultProject, anonymous);
  return {
    db,
    url,
    postgres: {
      stop: () => launched.end(),
      start: async () => void (launched = await started(program)),
    },
    async close() {
      await db.close();
      await launched.end();
    },
  };
}

/** Ready to be asked: everything that was active is loaded. */
export const untilReady = (at: Serving) =>
  eventually(
    () => http(at, 'GET', '/readyz'),
    ({ status }) => status === 200,
  );

export const oneRow = (row: readonly (number | null)[], more: object = {}) => ({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, row.length], data: row }],
  ...more,
});

interface OutputTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** What tests look into of an answer; each says itself which of it must be there. */
interface AnswerJson {
  readonly id: string;
  readonly model_version: string;
  readonly versions: readonly string[];
  readonly parameters: { readonly request_id: string };
  readonly outputs: readonly [OutputTensor, ...OutputTensor[]];
  readonly code: string;
  readonly error: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly json: AnswerJson;
}

export interface HttpOptions {
  readonly headers?: Record<string, string>;
  readonly agent?: Agent;
}

/** Node's own client: no content type unless one is given. */
export function http(
  { url }: Pick<Serving, 'url'>,
  method: string,
  path: string,
  body?: object | string | Buffer,
  { headers = {}, agent }: HttpOptions = {},
): Promise<Answered> {
  const bytes = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const asked = request(`${url}${path}`, { method, headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const whole = Buffer.concat(chunks);
        const json = /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(whole.toString()) : {};
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole, json });
      });
    });
    asked.on('error', reject);
    asked.end(bytes);
  });
}
