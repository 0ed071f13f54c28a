import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { setTimeout as pause } from 'node:timers/promises';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { isDomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import type { Database } from '../../store/db.js';
import {
  claimKey,
  keepClaim,
  keepClaimEveryMs,
  recordAnswer,
  releaseKey,
  type KeyClaim,
  type RecordedAnswer,
} from '../../store/idempotency.js';
import { invalidRequest } from './problem.js';
import { projectOf } from './project.js';
import { DATABASE } from './tokens.js';

const header = 'idempotency-key';
const keyLengthMax = 255;
/** How long a repeat waits for the answer of the request that came first. */
const waitMaxMs = 20_000;
const waitStepMs = 50;

/** Of a POST that only reads: its answer, which may have values of people, is not kept, whatever key it comes with. */
export const ReadsOnly = Reflector.createDecorator<void, true>({ transform: () => true });

/** A POST with an Idempotency-Key is done once; each repeat, be it at the same time or later, gets the first answer. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const key = request.headers[header];
    if (request.method !== 'POST' || key === undefined) return next.handle();
    if (this.reflector.get(ReadsOnly, context.getHandler())) return next.handle();
    if (typeof key !== 'string' || key.length === 0 || key.length > keyLengthMax)
      throw invalidRequest([{ field: 'header.Idempotency-Key', message: `must have 1 to ${keyLengthMax} characters` }]);
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const project = projectOf(request);
    const claim = await this.claim(project, key, { url: request.url, body: request.body ?? null });
    if ('status' in claim) {
      void reply.code(claim.status).header('idempotent-replayed', 'true');
      return of(claim.response);
    }
    // A beat that is lost is not worth the request's failure: the next one comes in time.
    const timer = setInterval(() => void keepClaim(this.db, claim).catch(() => undefined), keepClaimEveryMs);
    try {
      const response: unknown = await lastValueFrom(next.handle());
      await recordAnswer(this.db, claim, { status: reply.statusCode, response });
      return of(response);
    } catch (error) {
      await releaseKey(this.db, claim);
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  private async claim(project: ProjectName, key: string, asked: unknown): Promise<KeyClaim | RecordedAnswer> {
    for (const deadline = performance.now() + waitMaxMs; ; await pause(waitStepMs)) {
      try {
        return await claimKey(this.db, project, key, asked);
      } catch (error) {
        const running = isDomainError(error) && error.code === 'idempotency_key_running';
        if (!running || performance.now() > deadline) throw error;
      }
    }
  }
}
