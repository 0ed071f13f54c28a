import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DomainError } from '../../domain/errors.js';
import type { Logger } from '../log.js';
import { feastAnswer, isFeastAddress } from './feast-errors.js';
import { edgeError, problemOf, problemType } from './problem.js';

/**
 * Any error, wherever it was thrown, becomes one problem+json, or what Feast's client understands where that asks. Only
 * what is our own fault is logged as an error.
 */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = edgeError(thrown, `${request.method} ${request.originalUrl}`);
    const fields = { requestId: request.id, method: request.method, url: request.originalUrl, error: thrown };
    if (error.row.http >= 500 && !error.row.retry) this.log.error(error.code, fields);
    else this.log.debug(error.code, fields);
    if (reply.sent) return;
    if (isFeastAddress(request.originalUrl)) return void sendToFeast(reply, error);
    void reply.code(error.row.http).type(problemType).send(problemOf(error, request.id));
  }
}

function sendToFeast(reply: FastifyReply, error: DomainError): FastifyReply {
  const { status, body } = feastAnswer(error);
  return reply.code(status).type('application/json').send(JSON.stringify(body));
}
