import { mkdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createActivities } from '../../activities/index.js';
import type { ImportAccess } from '../../lake/access.js';
import { openEngine } from '../../lake/duckdb.js';
import { localObjects } from '../../lake/objects.js';
import { clearCopies } from '../../lake/sources/index.js';
import { createModels } from '../../models/onnx.js';
import { extensionFinder } from '../../programs/extensions.js';
import { ensureSearchAttributes } from '../../programs/temporal.js';
import { armFailpoints } from '../../domain/failpoints.js';
import { loadConfig, type Config } from '../config.js';
import { connectDatabase } from '../database.js';
import { onShutdown } from '../lifecycle.js';
import { createLogger, type Logger } from '../log.js';
import { FailureInterceptor } from './failures.js';
import { keepUp } from './upkeep.js';

const activitiesAtOnce = 8;
const drainMs = 8_000;

/** Trainers, inference and PostgreSQL live beside us. */
const halfOfMemory = () => `${Math.floor(totalmem() / 2 / 2 ** 20)}MiB`;

/** Engines that copy live as long as a copy takes; nothing is looked for before a source needs it. */
const importMemoryLimit = '1GB';

function importsOf({ extensions, cache, python, s3 }: Config, scratch: string, threads: number): ImportAccess {
  const extension = extensionFinder({ folder: extensions, cacheDir: cache, python });
  return { scratch, extension, s3, threads, memoryLimit: importMemoryLimit };
}

async function openWorld(config: Config) {
  const [lakeRoot, artifactsRoot, work, temp] = ['lake', 'artifacts', 'work', 'tmp'].map((name) =>
    join(config.home, name),
  ) as [string, string, string, string];
  for (const folder of [lakeRoot, artifactsRoot, work, temp]) await mkdir(folder, { recursive: true });
  await clearCopies(temp);
  const db = await connectDatabase(config, 'worker');
  const threads = config.duckdb.threads ?? availableParallelism();
  const engine = await openEngine({
    threads,
    memoryLimit: config.duckdb.memoryLimit ?? halfOfMemory(),
    tempDirectory: temp,
    allowedDirectories: [lakeRoot, temp, ...config.roots.filter((root) => !root.startsWith('s3://'))],
  });
  const models = createModels({ workers: 1, intraOpThreads: threads });
  const trainers = {
    folder: config.trainers,
    cache: config.cache,
    work,
    flightUrl: config.urls.flight,
    flightAccess: config.flightAccess,
    python: config.python ?? undefined,
  };
  return {
    db,
    engine,
    models,
    lake: localObjects(lakeRoot),
    artifacts: localObjects(artifactsRoot),
    access: { roots: config.roots, connections: config.connections, imports: importsOf(config, temp, threads) },
    scratch: temp,
    trainers,
  };
}

async function start(config: Config, log: Logger): Promise<void> {
  // Shutdown is ours: the SDK would take the signals and leave the rest of the process behind.
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', ({ level, message, meta }) =>
      log[level === 'ERROR' ? 'error' : 'warn'](message, { meta }),
    ),
  });
  const { address, namespace, taskQueue } = config.temporal;
  await ensureSearchAttributes(address, namespace);
  const world = await openWorld(config);
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    ...{ connection, namespace, taskQueue },
    workflowBundle: { codePath: join(config.projectRoot, 'dist/workflows.bundle.js') },
    activities: createActivities(world),
    interceptors: { activity: [() => ({ inbound: new FailureInterceptor(log) })] },
    maxConcurrentActivityTaskExecutions: activitiesAtOnce,
    // A cancellation reaches a step with its heartbeat; the SDK would hold these back for 12 s.
    maxHeartbeatThrottleInterval: '2 s',
    // A worker that died leaves its cached workflows to others after this.
    stickyQueueScheduleToStartTimeout: '5 s',
    shutdownGraceTime: '2 s',
    shutdownForceTime: drainMs,
  });
  const clientConnection = Connection.lazy({ address });
  const upkeep = keepUp({
    db: world.db,
    client: new Client({ connection: clientConnection, namespace }),
    taskQueue,
    retention: config.retention,
    idempotency: config.idempotency,
    log,
  });
  const running = worker.run();
  onShutdown(
    async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await upkeep.stop();
      await running;
      await Promise.all([connection.close(), clientConnection.close(), world.models.close(), world.db.close()]);
    },
    { log, drainMs: drainMs + 4_000 },
  );
  log.ready({ taskQueue });
  await running;
}

const config = loadConfig();
armFailpoints(config.failpoints);
const log = createLogger('worker', config.logLevel);
start(config, log).catch((error: unknown) => {
  log.error('the worker cannot go on', { error });
  process.exit(1);
});
