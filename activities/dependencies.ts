import type { SourceAccess } from '../lake/access.js';
import type { Engine } from '../lake/duckdb.js';
import type { Objects } from '../lake/objects.js';
import type { Models } from '../models/onnx.js';
import type { FlightAccess } from '../programs/trainer.js';
import type { Database } from '../store/db.js';

/** What the steps need of the world; each factory names the part it uses. */
export interface Dependencies {
  readonly db: Database;
  readonly engine: Engine;
  readonly lake: Objects;
  readonly artifacts: Objects;
  readonly models: Models;
  readonly access: SourceAccess;
  /** A folder for files that live as long as a step. DuckDB may write to it. */
  readonly scratch: string;
  readonly trainers: TrainerHome;
}

/** Where training programs live, and where they find their data. */
export interface TrainerHome {
  readonly folder: string;
  readonly cache: string;
  /** Scratch folders of runs. */
  readonly work: string;
  readonly flightUrl: string;
  readonly flightAccess?: FlightAccess;
  readonly python: string | undefined;
}
