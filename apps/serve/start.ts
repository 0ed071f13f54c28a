import type { FastifyInstance } from 'fastify';
import { DomainError } from '../../domain/errors.js';
import type { ServingStore } from '../../domain/serving.js';
import { createModels } from '../../models/onnx.js';
import type { Logger } from '../log.js';
import { Endpoints } from './endpoints.js';
import { Follower } from './follower.js';
import type { FollowerDeps } from './follower.js';
import { InferenceLog } from './inference-log.js';
import type { InferenceLogOptions } from './inference-log.js';
import { Instance } from './instance.js';
import type { InstanceTiming } from './instance.js';
import { createRequestMetrics } from './metrics.js';
import type { Family } from './metrics.js';
import { createPredict } from './predict.js';
import { createServer } from './server.js';
import type { ServerLimits } from './server.js';

export interface ServeSettings {
  /** Unique among live instances; a process that comes back under a name takes over its row. */
  readonly instance: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Where others reach it; without it, the address it listens on. */
  readonly url?: string;
  /** The folder that model keys are relative to: `<home>/artifacts`. */
  readonly artifacts: string;
  readonly store: ServingStore;
  readonly log: Logger;
  /** Eider's own version, for `/v2`. */
  readonly version: string;
  readonly workers?: number;
  readonly limits?: Partial<ServeLimits>;
  readonly inferenceLog?: InferenceLogOptions;
  readonly timing?: Partial<InstanceTiming & Pick<FollowerDeps, 'retryFailedMs'>>;
}

/** A limit on everything that a caller can make large. */
export interface ServeLimits extends ServerLimits {
  readonly inFlightMax: number;
}

const limitsDefault: ServeLimits = { bodyBytesMax: 8 * 1024 * 1024, rowsMax: 10_000, inFlightMax: 512 };
const flushMsMax = 5_000;

export interface Serving {
  readonly url: string;
  /** Gives up the lease, answers what has arrived, writes what is logged. */
  stop(): Promise<void>;
}

/** Starts an inference instance. It listens at once and says that it is ready when what is active is loaded. */
export async function startServing(settings: ServeSettings): Promise<Serving> {
  const { store, log, instance: name, workers = 2 } = settings;
  const limits = { ...limitsDefault, ...settings.limits };
  const models = createModels({ workers });
  const endpoints = new Endpoints((model) => {
    models.unload(model).catch((error: unknown) => log.warn('a model was not unloaded', { error }));
  });
  const inferenceLog = new InferenceLog(store, log, settings.inferenceLog);
  const follower = new Follower({
    name,
    store,
    models,
    endpoints,
    artifacts: settings.artifacts,
    log,
    retryFailedMs: settings.timing?.retryFailedMs,
  });
  const metrics = createRequestMetrics();
  let draining = false;
  const server = createServer({
    endpoints,
    predict: createPredict({ models, endpoints, inferenceLog, inFlightMax: limits.inFlightMax }),
    metrics,
    metricsText: () => metrics.text([...servingFamilies(endpoints), ...logFamilies(inferenceLog)]),
    loaded: () => follower.ready,
    ready: () => follower.ready && !draining,
    log,
    version: settings.version,
    limits,
  });

  const address = await listen(server, settings);
  const url = settings.url ?? address;
  const instance = new Instance({ name, url, store, follower, log }, settings.timing);
  return {
    url,
    async stop() {
      draining = true;
      await instance.stop(); // First, so that no rollout waits for an instance that is leaving.
      await server.close();
      const left = await inferenceLog.stop(flushMsMax);
      if (left > 0) log.error('rows of the inference log could not be written', { rows: left });
      await models.close();
    },
  };
}

async function listen(server: FastifyInstance, { host, port }: ServeSettings): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    if ((error as { code?: string }).code !== 'EADDRINUSE') throw error;
    throw new DomainError(
      'port_busy',
      `Port ${port} of ${host} is in use; inference needs it.`,
      { host, port },
      { cause: error },
    );
  }
}

const one = (name: string, type: Family['type'], help: string, value: () => number): Family => ({
  name,
  type,
  help,
  samples: () => [{ labels: {}, value: value() }],
});

function servingFamilies(endpoints: Endpoints): Family[] {
  const perEndpoint = (value: (endpoint: ReturnType<Endpoints['list']>[number]) => number) => () =>
    endpoints.list().map((endpoint) => ({
      labels: { project: endpoint.project, endpoint: endpoint.name },
      value: value(endpoint),
    }));
  return [
    {
      name: 'eider_serving_version',
      type: 'gauge',
      help: 'The version that answers; 0 is none.',
      samples: perEndpoint(({ active }) => active?.version.version ?? 0),
    },
    {
      name: 'eider_serving_generation',
      type: 'gauge',
      help: 'The generation of the traffic that is followed.',
      samples: perEndpoint(({ generation }) => generation),
    },
    one('eider_inference_in_flight', 'gauge', 'Requests that are being answered.', () => endpoints.inFlight),
  ];
}

function logFamilies(inferenceLog: InferenceLog): Family[] {
  const counter = (name: string, help: string, key: 'written' | 'dropped' | 'rejected') =>
    one(`eider_inference_log_rows_${name}_total`, 'counter', help, () => inferenceLog.numbers()[key]);
  return [
    one(
      'eider_inference_log_queue_rows',
      'gauge',
      'Rows that wait to be written.',
      () => inferenceLog.numbers().queued,
    ),
    counter('written', 'Rows of the inference log that are committed.', 'written'),
    counter('dropped', 'Rows that were lost because the queue was full.', 'dropped'),
    counter('rejected', 'Rows that the database refused for what they hold.', 'rejected'),
    one(
      'eider_inference_log_unconfirmed_answers_total',
      'counter',
      'Answers that went out before their rows were committed.',
      () => inferenceLog.numbers().unconfirmed,
    ),
    one('eider_inference_log_away', 'gauge', '1 while answers do not wait for the log.', () =>
      inferenceLog.numbers().away ? 1 : 0,
    ),
  ];
}
