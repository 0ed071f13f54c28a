import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/client';
import { DomainError, errorTable, type ErrorCode } from '../../domain/errors.js';

export interface Failure {
  readonly error: DomainError;
  /** The workflow as a whole ran out of time. */
  readonly timedOut: boolean;
}

/** Why a workflow failed, in our words: the code that an activity gave travels as the failure's type, its data as the first detail. */
export function failureOf(failed: Error): Failure {
  const chain: Error[] = [];
  for (let one: unknown = failed.cause; one instanceof Error; one = one.cause) chain.push(one);
  const timedOut = chain[0] instanceof TimeoutFailure;
  const coded = chain.find((one): one is ApplicationFailure => one instanceof ApplicationFailure && isCode(one.type));
  if (coded) {
    const [data] = (coded.details ?? []) as unknown[];
    const plain = typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
    return { error: new DomainError(coded.type as ErrorCode, coded.message, plain), timedOut };
  }
  const deepest = chain.at(-1);
  if (chain.some((one) => one instanceof CancelledFailure))
    return { error: new DomainError('cancelled', 'The workflow was cancelled.'), timedOut };
  if (deepest instanceof TerminatedFailure)
    return { error: new DomainError('cancelled', `The workflow was terminated: ${deepest.message}.`), timedOut };
  return { error: new DomainError('internal', deepest?.message ?? failed.message), timedOut };
}

const isCode = (type: string | null | undefined): boolean => typeof type === 'string' && type in errorTable;
