import type { ReadDatabase } from './database.js';
import { holdHandle, library, setPointer, type Pointer } from './library.js';
import type { ReadPlan } from './plan.js';

/** A connection for one stream or question: whoever gets it has it alone until it is given back or ended. */
export interface Lent {
  readonly connection: Pointer;
  /** Whether the plan's setup was run on it already. */
  readonly isSetUp: boolean;
  /** The plan's statement, prepared on it; 0: not yet. It goes with the connection to the thread, which gives it back or frees it. */
  readonly prepared: Pointer;
}

export interface Connections {
  lend(plan: Pick<ReadPlan, 'setup' | 'sql'>): Lent;
  /** After everything on it ended well; what was prepared stays for the next with the same statement. */
  giveBack(lent: Lent, prepared: Pointer): void;
  end(lent: Lent): void;
  close(): void;
}

interface Idle {
  readonly connection: Pointer;
  readonly setup: string;
  readonly sql: string;
  readonly prepared: Pointer;
  readonly since: number;
}

const idleMax = 32;
/** A client reads soon after it has asked for the schema. A file that was taken away may stay open for as long. */
const idleMs = 5_000;

/**
 * Keeps connections for a moment with what was set up and prepared on them: for a small statement that is most of the work,
 * and it is first described and then read. A SELECT leaves nothing else on a connection; which views it may read was checked.
 */
export function createConnections(database: ReadDatabase): Connections {
  const lent = new Map<Pointer, { readonly setup: string; readonly sql: string }>();
  let idle: Idle[] = [];

  function forget(one: Idle): void {
    if (one.prepared !== 0) destroyPrepared(one.prepared);
    database.disconnect(one.connection);
  }
  function shrink(): void {
    const now = Date.now();
    const [kept, old]: [Idle[], Idle[]] = [[], []];
    for (const one of idle) (now - one.since > idleMs ? old : kept).push(one);
    idle = kept;
    old.forEach(forget);
  }
  const shrinking = setInterval(shrink, idleMs / 2).unref();

  return {
    lend({ setup, sql }) {
      const wanted = { setup: JSON.stringify(setup), sql };
      const fitting = idle.filter((one) => one.setup === wanted.setup && (one.prepared === 0 || one.sql === sql));
      const found = fitting.find((one) => one.prepared !== 0) ?? fitting[0];
      if (found) idle = idle.filter((one) => one !== found);
      const connection = found?.connection ?? database.connect();
      lent.set(connection, wanted);
      return { connection, isSetUp: found !== undefined, prepared: found?.prepared ?? 0 };
    },
    giveBack({ connection }, prepared) {
      const { setup, sql } = lent.get(connection) as { setup: string; sql: string };
      lent.delete(connection);
      idle.push({ connection, setup, sql, prepared, since: Date.now() });
      if (idle.length > idleMax) forget(idle.shift() as Idle);
    },
    end({ connection }) {
      lent.delete(connection);
      database.disconnect(connection);
    },
    close() {
      clearInterval(shrinking);
      idle.splice(0).forEach(forget);
    },
  };
}

export function destroyPrepared(prepared: Pointer): void {
  const handle = holdHandle();
  setPointer(handle, prepared);
  library().destroyPrepare(handle.address);
}
