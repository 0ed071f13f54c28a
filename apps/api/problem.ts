import { HttpException } from '@nestjs/common';
import { asDomainError, DomainError, isDomainError, type ErrorCode } from '../../domain/errors.js';

/** RFC 9457, with our code, what to do next, and the data of the case. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly help: string;
  readonly retry: boolean;
  readonly data: Readonly<Record<string, unknown>>;
  readonly requestId: string;
}

export const problemType = 'application/problem+json';

export function problemOf(error: DomainError, requestId: string): Problem {
  const { title, http: status, help, retry } = error.row;
  const { code, message: detail, data } = error;
  return { type: `urn:eider:error:${code}`, title, status, detail, code, help, retry, data, requestId };
}

/** What a person must mend: the place of the value, as `resources.0.spec.sql` or `query.limit`, and what it must be. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

export function invalidRequest(problems: readonly FieldProblem[]): DomainError {
  const sentences = problems.map(({ field, message }) => (field ? `${field}: ${message}` : message));
  const shown = sentences.slice(0, 3).join('; ');
  const more = sentences.length > 3 ? `; and ${sentences.length - 3} more` : '';
  // Resources have a reference page of their own, so they have an error of their own.
  const aboutResources = problems.some(({ field }) => /^resources\.\d/.test(field));
  return new DomainError(aboutResources ? 'resource_invalid' : 'request_invalid', `${shown}${more}.`, { problems });
}

const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'request_too_large',
  FST_ERR_HANDLER_TIMEOUT: 'request_timeout',
};

const codeOfStatus = (status: number): ErrorCode | null => {
  if (status === 404 || status === 405) return 'route_unknown';
  if (status === 413) return 'request_too_large';
  return status >= 400 && status < 500 ? 'request_invalid' : null;
};

/** Errors of Nest and Fastify, which speak in HTTP statuses, in our words. */
export function edgeError(error: unknown, address: string): DomainError {
  if (isDomainError(error)) return error;
  const { code = '', statusCode, message } = error as { code?: string; statusCode?: number; message: string };
  const status = error instanceof HttpException ? error.getStatus() : (statusCode ?? 500);
  const known = fastifyCodes[code] ?? codeOfStatus(status);
  if (known === null) return asDomainError(error);
  if (known === 'route_unknown') return new DomainError(known, `There is nothing at ${address}.`);
  return new DomainError(known, /[.!?]$/.test(message) ? message : `${message}.`, {}, { cause: error });
}
