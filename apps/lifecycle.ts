import type { Logger } from './log.js';

/** The argument with which `eider dev` starts its children; they then end when the pipe on their stdin closes. */
export const supervisedFlag = '--supervised';

/** npm passes a terminal's Ctrl-C on to a program that has already got it: within this time it is the same one. */
export const sameSignalMs = 500;

export interface ShutdownOptions {
  readonly log?: Logger;
  /** A drain that takes longer is given up and the process exits 1; milliseconds. */
  readonly drainMs?: number;
}

/**
 * Runs `drain` once when the process is asked to end (SIGTERM, SIGINT, or, under a supervisor, the end of stdin: the
 * supervisor is gone, even if nobody could send a signal), then exits 0. A second signal exits 1 at once. Returns the same
 * request as a function, for a process that wants to end itself.
 */
export function onShutdown(drain: () => Promise<void>, { log, drainMs = 10_000 }: ShutdownOptions = {}): () => void {
  let drainingSince: number | null = null;
  const end = (reason: string, again: boolean) => {
    if (drainingSince !== null) {
      if (again && performance.now() - drainingSince > sameSignalMs) process.exit(1);
      return;
    }
    drainingSince = performance.now();
    log?.info('draining', { reason });
    const deadline = setTimeout(() => {
      log?.error('the drain took too long', { drainMs });
      process.exit(1);
    }, drainMs);
    deadline.unref();
    drain().then(
      () => process.exit(0),
      (error: unknown) => {
        log?.error('the drain failed', { error });
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => end('SIGTERM', true));
  process.on('SIGINT', () => end('SIGINT', true));
  if (process.argv.includes(supervisedFlag)) {
    process.stdin.on('end', () => end('supervisor gone', false));
    process.stdin.on('error', () => end('supervisor gone', false));
    process.stdin.resume();
    // A supervisor that was killed no longer reads; a line that nobody can read must not end the drain.
    process.stdout.on('error', () => {});
    process.stderr.on('error', () => {});
  }
  return () => end('requested', false);
}
