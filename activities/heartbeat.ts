import { activityInfo, cancellationSignal, heartbeat } from '@temporalio/activity';

const beatEveryMs = 2_000;

/** Keeps the activity alive while `work` runs elsewhere (DuckDB's threads, a child process), and hands it the signal to stop. */
export async function beating<Result>(
  work: (signal: AbortSignal, beat: (details: unknown) => void) => Promise<Result>,
): Promise<Result> {
  let details: unknown = null;
  const timer = setInterval(() => heartbeat(details), beatEveryMs);
  try {
    return await work(cancellationSignal(), (next) => {
      details = next;
      heartbeat(next);
    });
  } finally {
    clearInterval(timer);
  }
}

export const currentWorkflowId = (): string => activityInfo().workflowExecution?.workflowId ?? '';
