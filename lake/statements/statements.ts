import { join } from 'node:path';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import type { PinnedTable, TableReader, TableRef, TableSchema } from '../../domain/tables.js';
import type { ReadPlan } from '../read/plan.js';
import type { Reader } from '../read/reader.js';
import { checkStatement, type Checked } from './check.js';
import type { Node } from './grammar.js';
import { pinTables, type Session } from './names.js';
import { placesIn, withConstants, type Parameter } from './parameters.js';
import { parseStatement, parseWritten, writeStatement } from './parse.js';
import { Recent } from './recent.js';
import { replaceByView, requireViews, viewStatement, type NamedTable } from './views.js';

export type { Parameter } from './parameters.js';

/** What a client wrote: one SELECT, checked, over tables that stay as they are. */
export interface PinnedStatement {
  /** As DuckDB writes the checked statement, parameters as $1, $2 … */
  readonly sql: string;
  /** Every table that it reads, pinned once for the whole statement. */
  readonly tables: readonly { readonly table: PinnedTable; readonly as: string }[];
  /** False when volatile functions (random(), now() …) or sampling make another answer of a second reading. */
  readonly repeatable: boolean;
  readonly parameterCount: number;
  /** For Reader.read and Reader.describe; parameters become typed constants. Without `parameters` they stay `$1` (to describe their types). */
  plan(parameters?: readonly Parameter[]): ReadPlan;
}

export interface StatementDeps {
  readonly reader: Pick<Reader, 'text'>;
  readonly tables: TableReader;
  /** Absolute: object keys are relative to it. */
  readonly lakeRoot: string;
  readonly timeMaxMs: number;
}

export interface Statements {
  /** `schema` is the session's default schema. Throws statement_invalid, statement_refused, statement_too_large, table_unknown, snapshot_unknown … */
  pin(sql: string, on: { readonly project: ProjectName; readonly schema?: TableSchema }): Promise<PinnedStatement>;
  /** The same again from what a ticket says: sql as above, and the tables by reference, under the same names. */
  reopen(said: SaidStatement, project: ProjectName): Promise<PinnedStatement>;
}

export interface SaidStatement {
  readonly sql: string;
  readonly tables: readonly { readonly ref: TableRef; readonly as: string }[];
  readonly repeatable: boolean;
}

/** Statements of clients: DuckDB parses them, we read the tree, and DuckDB writes what is left of it over views of pinned files. */
export function statements({ reader, tables, lakeRoot, timeMaxMs }: StatementDeps): Statements {
  function pinned(sql: string, named: readonly NamedTable[], { repeatable, parameterCount }: Omit<Checked, 'tables'>) {
    const setup = named.map((one) => viewStatement(one, lakeRoot));
    const files = named.flatMap(({ table }) => table.files.map(({ key }) => join(lakeRoot, key)));
    return {
      ...{ sql, tables: named, repeatable, parameterCount },
      plan: (parameters?: readonly Parameter[]): ReadPlan => ({
        ...{ setup, files, rows: null, ofClient: true, timeMaxMs },
        sql: parameters === undefined ? sql : withConstants(sql, parameters, parameterCount),
      }),
    };
  }

  /** What is written depends on nothing but the text and which of its tables are one. */
  const readings = new Recent<Reading>(rememberedMax);
  const writings = new Recent<Checked>(rememberedMax);

  async function read(sql: string, on: Session): Promise<{ reading: Reading; named: readonly NamedTable[] }> {
    const tree = await parseStatement(reader, sql);
    const checked = checkStatement(tree);
    const tableNodes = checked.tables.map((node) => ({ ...node }));
    const { pinned: named, names } = await pinTables(tables, checked.tables, on);
    for (const [index, node] of checked.tables.entries()) replaceByView(node, names[index] as string);
    const written = await writeStatement(reader, tree);
    writings.set(written.sql, requireSame(written, named));
    const reading = { checked: { ...checked, tables: tableNodes }, names, written: written.sql };
    readings.set(sql, reading);
    return { reading, named };
  }

  return {
    async pin(sql, on) {
      const known = readings.get(sql);
      if (known) {
        const { pinned: named, names } = await pinTables(tables, known.checked.tables, on);
        if (names.join() === known.names.join()) return pinned(known.written, named, known.checked);
      }
      const { reading, named } = await read(sql, on);
      return pinned(reading.written, named, reading.checked);
    },
    async reopen({ sql, tables: said, repeatable }, project) {
      const known = writings.get(sql);
      if (known) requireViews(known.tables, said);
      const checked = known ?? requireSame({ sql, tree: await parseWritten(reader, sql) }, said);
      writings.set(sql, checked);
      const named = await Promise.all(
        said.map(async ({ ref: { schema, name, revision, snapshot }, as }) => ({
          table: await tables.at(project, schema, name, revision, snapshot),
          as,
        })),
      );
      return pinned(sql, named, { ...checked, repeatable });
    },
  };
}

/** What a text came to. */
interface Reading {
  /** Its tables as it names them. */
  readonly checked: Checked;
  /** What they are called in what was written. */
  readonly names: readonly string[];
  readonly written: string;
}
/** Characters of statements. */
const rememberedMax = 2 ** 20;

/** Nothing but the views may be read by what was written, and each parameter must be found in it. */
function requireSame({ sql, tree }: { sql: string; tree: Node }, views: readonly { readonly as: string }[]): Checked {
  const checked = checkStatement(tree);
  requireViews(checked.tables, views);
  if (placesIn(sql).size === checked.parameterCount) return checked;
  throw new DomainError('statement_refused', 'DuckDB does not write its parameters where they can be found.');
}
