import { setTimeout as pause } from 'node:timers/promises';
import { DomainError, isDomainError } from '../../domain/errors.js';
import { launch, waitReady } from '../../programs/program.js';
import type { Launched, Program } from '../../programs/program.js';
import { removePid, writePid } from './dev-home.js';
import type { Output } from './dev-output.js';

const readyMs = 90_000;
/** A program that never became ready is tried so often before the start as a whole fails. */
const firstStartsMax = 3;
/** One that ran this long before it ended is started again at once; others after a growing pause. */
const stableMs = 20_000;
const pausesMs = [50, 200, 500, 1_000, 2_000, 5_000, 10_000] as const;

export interface Supervised {
  readonly name: string;
  /** The program's own process, null between two lives. */
  pid(): number | null;
  /** How often it was started again. */
  restarts(): number;
  /** Settles when it is ready for the first time; rejects with `process_failed` when it cannot be. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
  force(): void;
}

/** Starts a program and starts it again whenever it ends, until it is stopped. */
export function supervise(program: Program, home: string, output: Output): Supervised {
  const stopping = new AbortController();
  const life: Life = { launched: null, starts: 0, everReady: false, quickEnds: 0, signal: stopping.signal };
  const settle = { done: () => {}, failed: (_error: unknown) => {} };
  const ready = new Promise<void>((done, failed) => Object.assign(settle, { done, failed }));
  ready.catch(() => {}); // Whoever waits for it handles it; nobody may.
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      const started = performance.now();
      try {
        await liveOnce(program, home, output, life, () => settle.done());
      } catch (error) {
        if (stopping.signal.aborted) break;
        if (!life.everReady && !worthAnotherStart(error, life.starts)) {
          settle.failed(withLog(error, output.logFile(program.name)));
          return;
        }
        output.say(`${(error as Error).message} It is started again.`);
      }
      life.quickEnds = performance.now() - started > stableMs ? 0 : life.quickEnds + 1;
      const pauseMs = pausesMs[Math.min(life.quickEnds, pausesMs.length - 1)];
      await pause(pauseMs, undefined, { signal: stopping.signal }).catch(() => {}); // Stopped meanwhile.
    }
  })();
  return {
    name: program.name,
    pid: () => (life.launched && !life.launched.hasExited() ? life.launched.identity.pid : null),
    restarts: () => Math.max(0, life.starts - 1),
    ready,
    async stop() {
      stopping.abort();
      if (program.guarded) output.mute(program.name);
      await life.launched?.end();
      await loop;
      settle.failed(new DomainError('cancelled', `${program.name} was stopped.`));
    },
    force() {
      stopping.abort();
      life.launched?.force();
    },
  };
}

interface Life {
  launched: Launched | null;
  starts: number;
  everReady: boolean;
  quickEnds: number;
  readonly signal: AbortSignal;
}

async function liveOnce(
  program: Program,
  home: string,
  output: Output,
  life: Life,
  onReady: () => void,
): Promise<void> {
  life.starts += 1;
  const launched = await launch(program, output.lineOf(program.name));
  life.launched = launched;
  try {
    await writePid(home, program.name, launched.identity.pid, launched.processes);
    if (life.signal.aborted) return;
    await waitReady(program, launched, readyMs);
    if (life.everReady) output.say(`${program.name} is back (process ${launched.identity.pid})`);
    life.everReady = true;
    onReady();
    const how = await launched.exited;
    if (!life.signal.aborted) output.say(`${program.name} ended with ${how}; starting it again`);
  } finally {
    await launched.end();
    await removePid(home, program.name);
  }
}

/** Trying again does not make a missing tool appear. */
function worthAnotherStart(error: unknown, starts: number): boolean {
  return starts < firstStartsMax && isDomainError(error) && error.code === 'process_failed';
}

function withLog(error: unknown, file: string): unknown {
  if (!isDomainError(error) || error.code !== 'process_failed') return error;
  return new DomainError(
    error.code,
    `${error.message} Its log is ${file}.`,
    { ...error.data, log: file },
    { cause: error },
  );
}
