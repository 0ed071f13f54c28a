import { asDomainError } from '../../domain/errors.js';

/** RFC 9457, as the API answers too. */
export function problemOf(error: unknown) {
  const { code, message, data, row } = asDomainError(error);
  return {
    type: `urn:eider:error:${code}`,
    title: row.title,
    status: row.http,
    code,
    detail: message,
    help: row.help,
    data,
  };
}

/** Tells a failed command: for people one sentence with its code and the next step, for machines the problem. */
export function tellProblem(error: unknown, json: boolean): void {
  const problem = problemOf(error);
  if (json) {
    process.stdout.write(`${JSON.stringify(problem)}\n`);
    return;
  }
  process.stderr.write(`eider: ${problem.detail} (${problem.code}) ${problem.help}\n`);
  // Our own mistake: whoever reports it needs to see where it was.
  const cause = asDomainError(error).cause;
  if (problem.code === 'internal' && cause instanceof Error) process.stderr.write(`${cause.stack}\n`);
}
