import type { ProjectName } from '../../domain/ids.js';
import type { Database } from '../../store/db.js';
import { readRows, type Generation, type OnlineRow } from '../../store/online.js';

/** Statements of one generation under way at once. */
const lanesMax = 2;
/** Keys of one statement. */
const keysMax = 10_000;

interface Waiting {
  readonly keys: readonly string[];
  readonly resolve: (rows: readonly OnlineRow[] | null) => void;
  readonly reject: (error: unknown) => void;
}

interface Lanes {
  running: number;
  readonly queue: Waiting[];
}

/**
 * Reads of one generation that come while others are under way are done by one statement together: under load that saves
 * most of the round trips, and a single read never waits. Every caller still gets the rows of one generation.
 */
export class OnlineBatches {
  private readonly lanes = new Map<number, Lanes>();

  constructor(private readonly db: Database) {}

  /** Null when the generation is live no longer. */
  read(project: ProjectName, generation: Generation, keys: readonly string[]): Promise<readonly OnlineRow[] | null> {
    const lanes = this.lanes.get(generation.id) ?? { running: 0, queue: [] };
    this.lanes.set(generation.id, lanes);
    return new Promise((resolve, reject) => {
      lanes.queue.push({ keys, resolve, reject });
      if (lanes.running < lanesMax) void this.drain(project, generation, lanes);
    });
  }

  private async drain(project: ProjectName, generation: Generation, lanes: Lanes): Promise<void> {
    lanes.running += 1;
    while (lanes.queue.length > 0) await this.readTogether(project, generation, takeBatch(lanes.queue));
    lanes.running -= 1;
    if (lanes.running === 0) this.lanes.delete(generation.id);
  }

  private async readTogether(project: ProjectName, generation: Generation, batch: readonly Waiting[]): Promise<void> {
    try {
      const keys = batch.length === 1 ? (batch[0] as Waiting).keys : [...new Set(batch.flatMap((one) => one.keys))];
      const rows = await readRows(this.db, project, generation, keys);
      if (rows === null || batch.length === 1) {
        for (const one of batch) one.resolve(rows);
        return;
      }
      const byKey = new Map(rows.map((row) => [row.key, row]));
      const found = (wanted: readonly string[]) =>
        wanted.map((key) => byKey.get(key)).filter((row) => row !== undefined);
      for (const { resolve, keys: wanted } of batch) resolve(found(wanted));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

/** The first that waits, and as many after it as one statement takes. */
function takeBatch(queue: Waiting[]): Waiting[] {
  let keys = 0;
  const end = queue.findIndex((one) => (keys += one.keys.length) > keysMax);
  return queue.splice(0, end < 0 ? queue.length : Math.max(1, end));
}
