import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import 'reflect-metadata';
import type { Logger } from '../log.js';
import { ApiModule, type ApiDependencies } from './api.module.js';
import { serveDocs } from './docs.js';
import { prepareForFeast } from './feast-server.js';
import { Metrics } from './metrics.js';
import { edgeError, problemOf, problemType } from './problem.js';
import { inProject, rewriteUrl } from './project.js';
import { acceptUploads } from './uploads.js';

const bodyBytesMax = 4 * 1024 * 1024;
/** Time to receive a request, and to answer it; streams of events are not bound by the second. */
const receiveMs = 30_000;
const handlerMs = 90_000;
/** The database bounds them: preparing to abort a request takes a tenth of the work of answering one of these. */
const onlineReads = new Set([inProject('/features/online'), '/get-online-features', '/projects/:project/get-online-features']); // prettier-ignore
/** A workflow id of 255 characters, url-encoded. */
const parameterLengthMax = 765;

/** The API, ready to listen or to be asked in a test. Closing it leaves database and Temporal to whoever opened them. */
export async function createApi(dependencies: ApiDependencies): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: bodyBytesMax,
    requestTimeout: receiveMs,
    routerOptions: { maxParamLength: parameterLengthMax },
    rewriteUrl: (request: IncomingMessage) => rewriteUrl(request.url ?? '/'),
    genReqId: requestId,
    // Addresses that cannot be decoded do not reach a route, nor the filter of Nest.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const problem = problemOf(edgeError(error, `${request.method} ${request.raw.url}`), request.id);
      void reply.code(problem.status).header('x-request-id', request.id).type(problemType).send(problem);
    },
  });
  const server = adapter.getInstance();
  // Only JSON is read, and Arrow tables at one address: a web page elsewhere cannot post it without asking, and asking (CORS) is not answered.
  server.removeContentTypeParser('text/plain');
  acceptUploads(server, dependencies.settings.artifacts);
  prepareForFeast(server);
  server.addHook('onRoute', (route) => {
    if (!onlineReads.has(route.url)) route.handlerTimeout ??= handlerMs;
  });
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
  });
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule.with(dependencies), adapter, {
    bodyParser: false,
    logger: nestLogger(dependencies.log),
    abortOnError: false,
  });
  app.get(Metrics).observe(server);
  serveDocs(app);
  await app.init();
  await server.ready();
  return app;
}

/** The caller's X-Request-Id if it is one line of plain characters, else a new one. */
function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given) ? given : randomUUID();
}

/** What Nest has to say goes where everything is said; its start-up chatter only at debug. */
function nestLogger(log: Logger): LoggerService {
  const at = (level: 'debug' | 'warn' | 'error') => (message: unknown) => log[level](String(message));
  return { log: at('debug'), verbose: at('debug'), debug: at('debug'), warn: at('warn'), error: at('error') };
}
