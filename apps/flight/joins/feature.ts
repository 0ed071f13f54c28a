import { join } from 'node:path';
import { mkdir, readdir, rm } from 'node:fs/promises';
import type { JoinCatalogue } from '../../../domain/joins.js';
import type { SpineTables } from '../../../domain/spine-tables.js';
import type { TableReader } from '../../../domain/tables.js';
import { openEngine } from '../../../lake/duckdb.js';
import { localObjects } from '../../../lake/objects.js';
import type { Reader } from '../../../lake/read/reader.js';
import { statements } from '../../../lake/statements/statements.js';
import type { Logger } from '../../log.js';
import type { FlightFeature } from '../feature.js';
import { createAdmission } from './admission.js';
import type { JoinsDeps } from './deps.js';
import { feastExchanger, feastTaker } from './feast.js';
import { joinExchanger } from './exchange.js';
import { joinKind } from './kind.js';
import { createPushedFiles } from './pushed-files.js';
import { spineTaker } from './uploads.js';

export interface JoinSettings {
  readonly catalogue: JoinCatalogue;
  readonly spines: SpineTables;
  /** What `openScratch` answered; the reader may read it. */
  readonly scratch: string;
  readonly threads: number;
}

export interface JoinsFeature extends FlightFeature {
  close(): Promise<void>;
}

/** Uploads and exchanges at a time. */
const arrivingMax = 16;
/** For what arrives: a file's rows for each of these, and the copy of what was pushed. */
const memoryLimit = '512MB';

/** Of a spine that is SQL. */
const sqlTimeMaxMs = 60_000;

/** Point-in-time joins as commands and as exchanges, and the spines that they join. */
export async function joinsFeature(
  { catalogue, spines, scratch, threads }: JoinSettings,
  reads: {
    readonly tables: TableReader;
    readonly reader: Reader;
    readonly lakeRoot: string;
    readonly log: Logger;
  },
): Promise<JoinsFeature> {
  const { lakeRoot, tables, reader } = reads;
  const engine = await openEngine({
    ...{ threads, memoryLimit, tempDirectory: scratch, allowedDirectories: [lakeRoot, scratch] },
  });
  const pushed = createPushedFiles(catalogue, engine, scratch);
  const deps: JoinsDeps = {
    ...reads,
    catalogue,
    spines,
    engine,
    scratch,
    pushed,
    lake: localObjects(lakeRoot),
    statements: statements({ reader, tables, lakeRoot, timeMaxMs: sqlTimeMaxMs }),
  };
  const enter = createAdmission(arrivingMax);
  return {
    readables: [joinKind(deps) as never],
    puts: [spineTaker(deps, enter), feastTaker(deps)],
    exchanges: [joinExchanger(deps, enter), feastExchanger(deps, enter)],
    async close() {
      await pushed.close();
      engine.close();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

const prefix = 'flight-';

/** A folder of this process alone; those of processes that are no more are removed. */
export async function openScratch(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent))
    if (name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length))))
      await rm(join(parent, name), { recursive: true, force: true });
  const scratch = join(parent, `${prefix}${process.pid}`);
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch);
  return scratch;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
