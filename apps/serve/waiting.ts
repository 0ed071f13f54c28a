/** Resolves with `work`, or after `ms` without it; `work` goes on either way. */
export async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Lets one loop wait for a time or for a call, whichever comes first. */
export class Signal {
  private given = false;
  private wake: () => void = () => undefined;

  give(): void {
    this.given = true;
    this.wake();
  }

  /** A `give` that came while nobody waited counts. */
  async take(ms: number): Promise<void> {
    if (!this.given) await within(new Promise<void>((resolve) => (this.wake = resolve)), ms);
    this.given = false;
  }
}
