import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Context } from '@temporalio/activity';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { projectRoot } from '../../apps/config.js';
import { createLogger } from '../../apps/log.js';
import { FailureInterceptor } from '../../apps/worker/failures.js';
import type { CheckResources, Problem } from '../../domain/check.js';
import { DomainError } from '../../domain/errors.js';
import type { MaterializeView, PlannedWindow } from '../../domain/features.js';
import { anonymous } from '../../domain/principal.js';
import type { TrainModel } from '../../domain/training.js';
import type { Database } from '../../store/db.js';
import { claimRun, openRun, recordProgress } from '../../store/training.js';
import { day, staged } from '../store/samples.js';
import type { TestTemporal } from '../support/temporal.js';

export const taskQueue = 'eider';

/**
 * Stand-ins for the steps: the API sees how workflows start, report, wait, end, fail and are cancelled, and nothing of what
 * they compute. The view `route_day` has a corrupt source; materializing waits until it is let go.
 */
export function standIns(db: Database) {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const untilLetGo = async () => {
    const beating = setInterval(() => Context.current().heartbeat(), 200);
    await Promise.race([gate, Context.current().cancelled]).finally(() => clearInterval(beating));
  };
  const untilStopped = async () => {
    const beating = setInterval(() => Context.current().heartbeat(), 200);
    await Context.current().cancelled.finally(() => clearInterval(beating));
  };
  const notServing = async () => {
    throw new DomainError('endpoint_not_serving', 'Nothing is deployed here.');
  };
  const activities = {
    scoreWindow: untilStopped,
    commitInferenceLog: untilStopped,
    planTick: notServing,
    announceRollout: notServing,
    closeRollout: async () => undefined,
    async checkResources({ resources }: CheckResources): Promise<Problem[]> {
      return resources.flatMap(({ kind, name, ...one }) =>
        one.description?.startsWith('refuse')
          ? [{ kind, name, field: 'spec.sql', code: 'sql_invalid' as const, detail: `${name} does not parse` }]
          : [],
      );
    },
    async planWindows({ view }: MaterializeView) {
      if (view === 'route_day') throw new DomainError('source_unreadable', 'flights is no Parquet file.', { view });
      const windows: PlannedWindow[] = [1, 2].map((number) => ({ ...staged(number), predecessor: null }));
      const found = { fresh: 2, changed: 0, current: 1, untouched: 0 };
      return { windows, total: 3, found, next: null, sourceVersion: 'v1' };
    },
    async materializeWindows() {
      await untilLetGo();
      return { committed: 2, rows: 20, bytes: 200, quarantined: 0, refused: [] };
    },
    recordControl: async () => undefined,
    completeTable: async () => ({ revision: 1, lacks: null }),
    tableState: async () => ({ snapshot: 2, windows: 3 }),
    isShownOnline: async () => false,
    async openRun(input: TrainModel) {
      const { workflowId } = Context.current().info.workflowExecution ?? { workflowId: '' };
      const { id } = await openRun(db, input, input.trigger, workflowId, anonymous);
      const fence = await claimRun(db, input.project, id);
      await recordProgress(db, input.project, id, fence, { step: 7, total: 10, metric: { auc: 0.7 } });
      return { run: id };
    },
    async buildTrainingSet() {
      await untilLetGo();
      throw new DomainError('training_set_empty', 'No flight is known by then.', { asOf: day(1) });
    },
    endRun: async () => undefined,
  };
  return { activities, letGo: () => letGo() };
}

/** A real worker with the real workflows over stand-in steps. */
export async function startWorker(server: TestTemporal, activities: object): Promise<() => Promise<void>> {
  await promisify(execFile)(process.execPath, [join(projectRoot, 'bin', 'eider.js'), '--version']);
  Runtime.install({ shutdownSignals: [], logger: new DefaultLogger('ERROR') });
  const connection = await NativeConnection.connect({ address: server.address });
  const worker = await Worker.create({
    ...{ connection, namespace: server.namespace, taskQueue, activities },
    workflowBundle: { codePath: join(projectRoot, 'dist', 'workflows.bundle.js') },
    interceptors: {
      activity: [() => ({ inbound: new FailureInterceptor(createLogger('worker', 'error', () => {})) })],
    },
    shutdownGraceTime: 0,
    shutdownForceTime: '2 s',
  });
  const running = worker.run();
  return async () => {
    worker.shutdown();
    await running;
    await connection.close();
  };
}
