import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';
import { asDomainError, isDomainError, type DomainError } from '../../domain/errors.js';
import type { Logger } from '../log.js';

/** An error of the table becomes a failure of its code: retried if its row says so, with its data for whoever reads it. */
export function toFailure(error: unknown, attempt = 1): Error {
  if (error instanceof ApplicationFailure || error instanceof CancelledFailure) return error;
  if (isAbort(error)) return new CancelledFailure('cancelled');
  const known = asDomainError(error);
  if (known.code === 'cancelled') return new CancelledFailure(known.message);
  // What nobody foresaw may pass by itself (a lost connection in a library), but not for ever; what was foreseen says so.
  const retry = isDomainError(error) && !isReplaced(error) ? known.row.retry : attempt < unforeseenAttemptsMax;
  const message = isDomainError(error) ? known.message : String(error);
  return ApplicationFailure.create({
    message,
    type: known.code,
    nonRetryable: !retry,
    details: [known.data],
    // What was foreseen needs no trace, which Temporal would cut, message and all; the log has it.
    cause: error instanceof Error && !isDomainError(error) ? error : undefined,
  });
}

const unforeseenAttemptsMax = 10;

/**
 * Files of sources have errors of their own, so that it was one of the lake: an erasure puts another in its place and deletes
 * it at once. Whoever asks again reads the new one; a file that is lost stays away.
 */
const isReplaced = ({ code, message }: DomainError): boolean =>
  code === 'query_failed' && /No files found|No such file or directory/.test(message);

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

export class FailureInterceptor implements ActivityInboundCallsInterceptor {
  constructor(private readonly log: Logger) {}

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    try {
      return await next(input);
    } catch (error) {
      const failure = toFailure(error, activityInfo().attempt);
      if (!(failure instanceof CancelledFailure)) this.log.warn('an activity failed', { error });
      throw failure;
    }
  }
}
