import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, type Workflow } from '@temporalio/common';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { Dependencies } from '../../activities/dependencies.js';
import { createActivities } from '../../activities/index.js';
import { projectRoot } from '../../apps/config.js';
import { createLogger } from '../../apps/log.js';
import { FailureInterceptor } from '../../apps/worker/failures.js';
import { defaultProject, taskQueue, type ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { Resource } from '../../domain/resources.js';
import { openEngine, quoteText } from '../../lake/duckdb.js';
import { localObjects } from '../../lake/objects.js';
import { createModels } from '../../models/onnx.js';
import { applyResources, createProject } from '../../store/resources.js';
import type * as workflows from '../../workflows/index.js';
import { withDatabase } from './database.js';
import { importsOf } from './lake.js';
import { withTemporal, type TestTemporal } from './temporal.js';

type Workflows = typeof workflows;
type Input<Name extends keyof Workflows> = Parameters<Workflows[Name]>[0];
type Output<Name extends keyof Workflows> = Awaited<ReturnType<Workflows[Name]>>;

/** What the steps need, over real engines and temporary folders, and a worker that runs them. */
export interface World extends Dependencies {
  readonly databaseUrl: string;
  readonly temporal: TestTemporal;
  readonly client: Client;
  /** For a worker of its own process: the settings that make it this world's. */
  readonly environment: Readonly<Record<string, string>>;
  /** Sources lie in `<home>/data`, objects in `<home>/lake` and `<home>/artifacts`. */
  readonly home: string;
  /** Writes what the SELECT yields as a Parquet file that sources may read; returns its path. */
  write(name: string, select: string): Promise<string>;
  query<Row extends object>(sql: string): Promise<Row[]>;
  apply(resources: readonly Resource[], project?: ProjectName): Promise<void>;
  start<Name extends keyof Workflows>(
    name: Name,
    workflowId: string,
    input: Input<Name>,
    queue?: string,
  ): Promise<WorkflowHandle<Workflow>>;
  run<Name extends keyof Workflows>(name: Name, workflowId: string, input: Input<Name>): Promise<Output<Name>>;
  /** The code and the sentence with which the workflow fails. */
  failure<Name extends keyof Workflows>(
    name: Name,
    workflowId: string,
    input: Input<Name>,
  ): Promise<{ code: string; message: string }>;
  stopWorker(): Promise<void>;
  close(): Promise<void>;
}

export interface WorldOptions {
  /** False: somebody else runs the worker. */
  readonly worker?: boolean;
}

export async function withWorld({ worker = true }: WorldOptions = {}): Promise<World> {
  const [{ db, url: databaseUrl, close: closeDatabase }, temporal] = await Promise.all([
    withDatabase(),
    withTemporal(),
  ]);
  const home = await realpath(await mkdtemp(join(tmpdir(), 'eider-world-')));
  const folders = ['lake', 'artifacts', 'work', 'tmp', 'data', 'cache'].map((name) => join(home, name));
  for (const folder of folders) await mkdir(folder);
  const [lake, artifacts, work, temp, data, cache] = folders as [string, string, string, string, string, string];
  const allowedDirectories = [lake, temp, data];
  const engine = await openEngine({ threads: 2, memoryLimit: '1GB', tempDirectory: temp, allowedDirectories });
  // Whoever runs these tests by hand has the compiled threads and the bundle made first.
  await promisify(execFile)(process.execPath, [join(projectRoot, 'bin', 'eider.js'), '--version']);
  const trainersFolder = join(projectRoot, 'test', 'support', 'trainers');
  const dependencies: Dependencies = {
    ...{
      db,
      engine,
      lake: localObjects(lake),
      artifacts: localObjects(artifacts),
      access: { roots: [data], connections: {}, imports: importsOf(temp) },
      scratch: temp,
    },
    models: createModels({ workers: 1 }),
    trainers: { folder: trainersFolder, cache, work, flightUrl: 'grpc://127.0.0.1:1', python: undefined },
  };
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection, namespace: temporal.namespace });
  const stopWorker = worker ? await startWorker(temporal, dependencies) : async () => undefined;
  const start: World['start'] = (name, workflowId, input, queue = taskQueue) =>
    client.workflow.start(name, { workflowId, taskQueue: queue, args: [input] });
  return {
    ...{ ...dependencies, databaseUrl, temporal, client, home, start, stopWorker },
    environment: {
      ...{ EIDER_HOME: home, EIDER_CACHE: cache, EIDER_ROOTS: data, EIDER_TRAINERS: trainersFolder },
      ...{ DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: temporal.namespace },
      ...{ EIDER_MEMORY_LIMIT: '1GB', EIDER_LOG_LEVEL: 'error', PATH: process.env.PATH ?? '' },
    },
    async write(name, select) {
      const file = join(data, name);
      await engine.session((session) => session.run(`COPY (${select}) TO ${quoteText(file)} (FORMAT parquet)`));
      return file;
    },
    query: (sql) => engine.session((session) => session.rows(sql)),
    async apply(resources, project = defaultProject) {
      await createProject(db, project, anonymous);
      await applyResources(db, project, resources, anonymous);
    },
    run: async (name, workflowId, input) => (await start(name, workflowId, input)).result() as never,
    async failure(name, workflowId, input) {
      return failureOf(await start(name, workflowId, input));
    },
    async close() {
      await stopWorker();
      await Promise.all([connection.close(), dependencies.models.close()]);
      engine.close();
      await closeDatabase();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** A worker within this process; returns what stops it. */
export async function startWorker(
  temporal: TestTemporal,
  dependencies: Dependencies,
  queue: string = taskQueue,
): Promise<() => Promise<void>> {
  installRuntime();
  const connection = await NativeConnection.connect({ address: temporal.address });
  const log = createLogger('worker', 'error', () => undefined);
  const worker = await Worker.create({
    ...{ connection, namespace: temporal.namespace, taskQueue: queue, activities: createActivities(dependencies) },
    workflowBundle: { codePath: join(projectRoot, 'dist', 'workflows.bundle.js') },
    interceptors: { activity: [() => ({ inbound: new FailureInterceptor(log) })] },
    ...{ maxHeartbeatThrottleInterval: '1 s', shutdownGraceTime: 0, shutdownForceTime: '5 s' },
  });
  const running = worker.run();
  let stopped: Promise<void> | null = null;
  return () =>
    (stopped ??= (async () => {
      worker.shutdown();
      await running;
      await connection.close();
    })());
}

let installed = false;
function installRuntime(): void {
  if (!installed) Runtime.install({ shutdownSignals: [], logger: new DefaultLogger('ERROR') });
  installed = true;
}

/** The innermost failure that has a code. */
export async function failureOf(handle: WorkflowHandle<Workflow>): Promise<{ code: string; message: string }> {
  const error: unknown = await handle.result().then(
    () => new Error('The workflow did not fail.'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WorkflowFailedError)) throw error;
  for (let at: unknown = error.cause; at instanceof Error; at = at.cause)
    if (at instanceof ApplicationFailure && at.type) return { code: at.type, message: at.message };
  return { code: error.cause?.name ?? '', message: error.cause?.message ?? '' };
}
