import { DomainError } from './errors.js';

/**
 * Places where a test may kill, fail or slow a process, at the borders between what is durable and what is not. They are
 * always compiled in and do nothing until a setting arms them.
 */
export const failpoints = [
  'materialize.computed',
  'materialize.staged',
  'materialize.sealed',
  'commit.before',
  'commit.inside',
  'commit.after',
  'publish.loaded',
  'publish.before_flip',
  'publish.after_flip',
  'push.inside',
  'push.after',
  'flush.staged',
  'hand_over.staged',
  'compact.staged',
  'collect.before_delete',
  'erase.rewritten',
] as const; // prettier-ignore
export type Failpoint = (typeof failpoints)[number];

type Mode = 'exit' | 'throw' | 'delay';
const armed = new Map<Failpoint, { mode: Mode; after: number }>();
const delayMs = 3_000;
/** What `kill -9` looks like to whoever waits for the process. */
const killedCode = 137;

/** `commit.inside=exit` or, for the third time it is passed, `commit.inside=exit:3`; several are separated by commas. */
export function armFailpoints(text: string): void {
  armed.clear();
  for (const one of text.split(',').filter(Boolean)) {
    const match = /^(?<name>[a-z_.]+)=(?<mode>exit|throw|delay)(?::(?<after>[1-9]\d{0,6}))?$/.exec(one.trim());
    const { name, mode, after } = match?.groups ?? {};
    if (!failpoints.some((known) => known === name))
      throw new DomainError('config_invalid', `"${one}" is not a failpoint of the form NAME=exit|throw|delay[:COUNT].`);
    armed.set(name as Failpoint, { mode: mode as Mode, after: Number(after ?? 1) });
  }
}

export async function failpoint(name: Failpoint): Promise<void> {
  const point = armed.get(name);
  if (!point || --point.after > 0) return;
  armed.delete(name);
  if (point.mode === 'exit') process.exit(killedCode);
  if (point.mode === 'throw') throw new DomainError('internal', `The failpoint ${name} is armed.`, { name });
  await new Promise((resolve) => setTimeout(resolve, delayMs));
}
