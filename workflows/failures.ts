import { ApplicationFailure, isCancellation } from '@temporalio/workflow';

/** The code of the error table behind a failure of an activity or a child, however deep; `internal` for any other. */
export function failureCode(error: unknown): string {
  if (isCancellation(error)) return 'cancelled';
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof ApplicationFailure && at.type) return at.type;
  return 'internal';
}
