import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import Fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asDomainError, DomainError } from '../../domain/errors.js';
import { defaultProject } from '../../domain/ids.js';
import type { Logger } from '../log.js';
import type { Address, Endpoints } from './endpoints.js';
import type { RequestMetrics } from './metrics.js';
import { modelMetadata, readInferRequest, writeInferAnswer } from './oip.js';
import type { Predict } from './predict.js';
import { inputInvalid } from './tensors.js';

export interface ServerDeps {
  readonly endpoints: Endpoints;
  readonly predict: Predict;
  readonly metrics: RequestMetrics;
  readonly metricsText: () => string;
  /** False until what was active at the start is loaded: until then it would be wrong to say that an endpoint is unknown. */
  readonly loaded: () => boolean;
  /** Whether to send requests here: loaded, and not draining. */
  readonly ready: () => boolean;
  readonly log: Logger;
  /** Eider's own version, for `/v2`. */
  readonly version: string;
  readonly limits: ServerLimits;
}

export interface ServerLimits {
  readonly bodyBytesMax: number;
  readonly rowsMax: number;
}

interface Params {
  project?: string;
  model: string;
  version?: string;
}
type ModelRequest = FastifyRequest<{ Params: Params }>;

/** Open Inference Protocol v2 over REST, health and metrics; not listening yet. */
export function createServer(deps: ServerDeps): FastifyInstance {
  const { limits, log } = deps;
  const server = Fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    forceCloseConnections: 'idle',
    // What arrives on an open connection while draining is answered still, and told to go elsewhere next time.
    return503OnClosing: false,
  });
  // Clients name any content type or none, and put raw tensors behind the JSON: the body is bytes until `oip.ts` reads it.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  server.setErrorHandler((error, _request, reply) => sendError(reply, fromFastify(error), log));
  server.setNotFoundHandler((request, reply) => {
    sendError(reply, new DomainError('route_unknown', `There is nothing at ${request.method} ${request.url}.`), log);
  });

  server.get('/healthz', (_request, reply) => reply.send({ live: true }));
  server.get('/readyz', (_request, reply) => sendReady(reply, deps.ready()));
  server.get('/metrics', (_request, reply) => reply.type('text/plain; version=0.0.4').send(deps.metricsText()));
  for (const prefix of ['', '/projects/:project']) addRoutes(server, `${prefix}/v2`, deps);
  return server;
}

function addRoutes(server: FastifyInstance, prefix: string, deps: ServerDeps): void {
  const { endpoints, loaded, ready, version } = deps;
  server.get(prefix, () => ({ name: 'eider', version, extensions: ['binary_tensor_data'] }));
  server.get(`${prefix}/health/live`, () => ({ live: true }));
  server.get(`${prefix}/health/ready`, (_request, reply) => sendReady(reply, ready()));
  for (const path of [`${prefix}/models/:model`, `${prefix}/models/:model/versions/:version`]) {
    server.get(path, (request: ModelRequest) => {
      const address = addressOf(request, loaded);
      return modelMetadata(endpoints.at(address).version, endpoints.versionsOf(address));
    });
    server.get(`${path}/ready`, (request: ModelRequest) => {
      const address = addressOf(request, loaded);
      endpoints.at(address);
      return { name: address.endpoint, ready: true };
    });
    server.post(`${path}/infer`, (request: ModelRequest, reply) => infer(request, reply, deps));
  }
}

async function infer(
  request: ModelRequest,
  reply: FastifyReply,
  { predict, endpoints, metrics, loaded, limits }: ServerDeps,
) {
  const started = performance.now();
  const named = endpointOf(request);
  let outcome = 'ok';
  let rows = 0;
  try {
    const at = addressOf(request, loaded);
    const body = await bodyOf(request, limits.bodyBytesMax);
    const jsonLength = request.headers['inference-header-content-length'];
    const done = await predict(
      at,
      ({ version }) => readInferRequest(body, jsonLength?.toString(), version.signature, limits.rowsMax),
      (asked, predictions, { version }, requestId) => writeInferAnswer(asked, predictions, version, requestId),
    );
    rows = done.rows;
    return reply.headers(done.answer.headers).send(done.answer.body);
  } catch (error) {
    outcome = asDomainError(error).code;
    throw error;
  } finally {
    // A name that nobody declared must not become a series: callers could make any number of them.
    const known = endpoints.versionsOf(named).length > 0;
    const labels = known ? named : { project: '', endpoint: '' };
    metrics.answered(labels, outcome, rows, (performance.now() - started) / 1000);
  }
}

const endpointOf = ({ params }: ModelRequest) => ({
  project: params.project ?? defaultProject,
  endpoint: params.model,
});

/** Throws `instance_starting`, or `version_unknown` for what is no number. */
function addressOf(request: ModelRequest, loaded: () => boolean): Address {
  const endpoint = endpointOf(request);
  const { version } = request.params;
  if (!loaded()) throw new DomainError('instance_starting', 'This instance is still loading its models.');
  if (version === undefined) return endpoint;
  if (/^\d{1,9}$/.test(version)) return { ...endpoint, version: Number(version) };
  throw new DomainError('version_unknown', `"${version}" is not a version number.`, { ...endpoint, version });
}

const decompress = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;

async function bodyOf({ body, headers }: ModelRequest, bytesMax: number): Promise<Buffer> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return bytes;
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    throw inputInvalid(`Content-Encoding "${encoding}" is not understood; gzip and deflate are.`);
  }
  try {
    return await decompress[encoding](bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(error);
    throw inputInvalid(`The body is not ${encoding}: ${(error as Error).message}.`);
  }
}

const tooLarge = (cause: unknown): DomainError =>
  new DomainError('request_too_large', 'The body is larger than this server accepts.', {}, { cause });

/** Fastify's own errors carry a status; ours carry a row of the table. */
function fromFastify(error: unknown): DomainError {
  const { statusCode = 500, message } = error as { statusCode?: number; message: string };
  if (error instanceof Error && 'code' in error && String(error.code).startsWith('FST_')) {
    if (statusCode === 413) return tooLarge(error);
    if (statusCode < 500) return new DomainError('request_invalid', message, {}, { cause: error });
  }
  return asDomainError(error);
}

function sendReady(reply: FastifyReply, ready: boolean): FastifyReply {
  return reply.code(ready ? 200 : 503).send({ ready });
}

function sendError(reply: FastifyReply, error: DomainError, log: Logger): void {
  const { http, help, retry } = error.row;
  if (http >= 500 && http !== 503) log.error('a request failed', { error: error.cause ?? error });
  if (retry) void reply.header('retry-after', '1');
  void reply.code(http).send({ error: error.message, code: error.code, help });
}
