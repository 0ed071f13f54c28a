import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { anonymous, type Principal } from '../../domain/principal.js';

/** Who sends the request. Everybody is anonymous until there are keys; this is the one place that will tell. */
export function principalOf(_request: FastifyRequest): Principal {
  return anonymous;
}

/** The caller, as a parameter of a handler. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext) =>
  principalOf(context.switchToHttp().getRequest<FastifyRequest>()),
);
