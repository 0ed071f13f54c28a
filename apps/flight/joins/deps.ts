import type { JoinCatalogue } from '../../../domain/joins.js';
import type { SpineTables } from '../../../domain/spine-tables.js';
import type { TableReader } from '../../../domain/tables.js';
import type { Engine } from '../../../lake/duckdb.js';
import type { Objects } from '../../../lake/objects.js';
import type { Reader } from '../../../lake/read/reader.js';
import type { Statements } from '../../../lake/statements/statements.js';
import type { Logger } from '../../log.js';
import type { PushedFiles } from './pushed-files.js';

/** What joins, uploads and exchanges are made with. */
export interface JoinsDeps {
  readonly catalogue: JoinCatalogue;
  readonly tables: TableReader;
  readonly spines: SpineTables;
  readonly reader: Reader;
  /** Spines as SQL. */
  readonly statements: Statements;
  /** Takes what clients send; what it writes to `scratch` the reader reads. */
  readonly engine: Engine;
  readonly lake: Objects;
  /** A folder of this process alone, for files that live as long as a call. */
  readonly scratch: string;
  readonly pushed: PushedFiles;
  readonly log: Logger;
}
