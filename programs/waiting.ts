import { setTimeout as pause } from 'node:timers/promises';

/** Asks again and again until the answer is true; false when `deadlineMs` have passed without. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
  { everyMs = 50, signal }: { everyMs?: number; signal?: AbortSignal } = {},
): Promise<boolean> {
  const deadline = performance.now() + deadlineMs;
  while (!signal?.aborted) {
    if (await condition()) return true;
    if (performance.now() >= deadline) return false;
    await pause(everyMs);
  }
  return false;
}
