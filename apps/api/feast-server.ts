import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isFeastAddress } from './feast-errors.js';
import { parsePythonJson } from './feast-json.js';
import { invalidRequest } from './problem.js';

/** Rows of a data frame; other routes take less. */
const bodyBytesMax = 32 * 1024 * 1024;
/** Feast's client waits for a materialization without a limit of its own; the work itself goes on beyond ours. */
const materializeMs = 24 * 3_600_000;

type Parsed = (error: Error | null, body?: unknown) => void;

/** What Fastify must do otherwise for Feast's routes: read JSON as Python writes it, take more, and wait longer. */
export function prepareForFeast(server: FastifyInstance): void {
  const plain = server.getDefaultJsonParser('error', 'error') as (
    request: FastifyRequest,
    body: string,
    done: Parsed,
  ) => void;
  server.removeContentTypeParser('application/json');
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done: Parsed) => {
    if (!isFeastAddress(request.url)) return plain(request, body as string, done);
    try {
      done(null, parsePythonJson(body as string));
    } catch {
      done(invalidRequest([{ field: '', message: 'JSON decode error' }]));
    }
  });
  server.addHook('onRoute', (route) => {
    if (!isFeastAddress(route.url)) return;
    if (/push|write/.test(route.url)) route.bodyLimit = bodyBytesMax;
    if (/materialize/.test(route.url)) route.handlerTimeout = materializeMs;
  });
}
