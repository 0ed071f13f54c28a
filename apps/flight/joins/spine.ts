import { z } from 'zod';
import { DomainError, isDomainError } from '../../../domain/errors.js';
import type { ProjectName, Sha256 } from '../../../domain/ids.js';
import type { JoinSpine } from '../../../domain/join-requests.js';
import { spineTable } from '../../../domain/spines.js';
import { splitColumn } from '../../../domain/splits.js';
import { nameAsRead, tableSchemas, type PinnedTable, type TableRef } from '../../../domain/tables.js';
import { quoteName } from '../../../lake/duckdb.js';
import { tableRelation } from '../../../lake/read/table.js';
import type { PinnedStatement } from '../../../lake/statements/statements.js';
import type { JoinsDeps } from './deps.js';
import { InlineRows, inlineRelation, type KeyTypes } from './inline-rows.js';

/** What a ticket says of a spine, so that its rows are found again. */
export const SaidSpine = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('table'), name: z.string(), revision: z.int32(), snapshot: z.int() }),
  z.strictObject({
    from: z.literal('sql'),
    sql: z.string(),
    repeatable: z.boolean(),
    tables: z.array(
      z.strictObject({
        as: z.string(),
        schema: z.enum(tableSchemas),
        name: z.string(),
        revision: z.int32(),
        snapshot: z.int(),
      }),
    ),
  }),
  z.strictObject({ from: z.literal('rows'), rows: InlineRows, types: z.record(z.string(), z.string()) }),
]);
export type SaidSpine = z.infer<typeof SaidSpine>;

/** The rows that are joined, as the reader reads them. */
export interface OpenSpine {
  readonly said: SaidSpine;
  readonly setup: readonly string[];
  /** An SQL relation, in the order of the spine. */
  readonly relation: string;
  readonly files: readonly string[];
  readonly pins: readonly TableRef[];
  /** False when it need not have the same rows when it is read again. */
  readonly repeatable: boolean;
}

/** In its newest state. `keyTypes` is asked for when the rows themselves do not say what they are. */
export async function pinSpine(
  deps: JoinsDeps,
  project: ProjectName,
  spine: JoinSpine,
  keyTypes: () => Promise<KeyTypes>,
): Promise<OpenSpine> {
  if ('rows' in spine) {
    const types = Object.fromEntries(await keyTypes());
    return inlineSpine({ from: 'rows', rows: spine.rows, types });
  }
  if ('sql' in spine) return sqlSpine(project, await deps.statements.pin(spine.sql, { project }));
  const name = 'sha256' in spine ? spineTable(spine.sha256) : spine.dataset;
  const table = await deps.tables.resolve(project, 'datasets', name).catch((error: unknown) => {
    throw 'sha256' in spine ? unknownUpload(spine.sha256, error) : error;
  });
  return tableSpine(deps, table);
}

/** In the state that a ticket pinned. */
export async function reopenSpine(deps: JoinsDeps, project: ProjectName, said: SaidSpine): Promise<OpenSpine> {
  switch (said.from) {
    case 'rows':
      return inlineSpine(said);
    case 'table':
      return tableSpine(deps, await deps.tables.at(project, 'datasets', said.name, said.revision, said.snapshot));
    case 'sql': {
      const tables = said.tables.map(({ as, ...ref }) => ({ as, ref: { project, ...ref } }));
      return sqlSpine(project, await deps.statements.reopen({ ...said, tables }, project));
    }
  }
}

function tableSpine({ lake }: JoinsDeps, table: PinnedTable): OpenSpine {
  const { project, schema, name, revision, snapshot, files } = table;
  // A training set's own split is none of the rows that are joined, as when another one is built of it.
  const columns = table.columns.filter((column) => column.name !== splitColumn);
  return {
    said: { from: 'table', name, revision, snapshot },
    relation: `(${tableRelation({ ...table, columns }, lake.root)})`,
    files: files.map(({ key }) => lake.path(key)),
    pins: [{ project, schema, name, revision, snapshot }],
    ...{ setup: [], repeatable: true },
  };
}

function sqlSpine(project: ProjectName, statement: PinnedStatement): OpenSpine {
  const { repeatable, tables, parameterCount } = statement;
  if (parameterCount > 0) throw new DomainError('spine_invalid', 'The SQL of a spine takes no parameters.');
  const { setup, sql, files } = statement.plan();
  const said = tables.map(({ as, table }) => {
    const { schema, revision, snapshot } = table;
    return { as, schema, name: nameAsRead(table), revision, snapshot };
  });
  return {
    said: { from: 'sql', sql: statement.sql, repeatable, tables: said },
    ...{ setup, files, repeatable, relation: `(${sql}\n)` },
    pins: tables.map(({ table: { schema, name, revision, snapshot } }) => ({
      project,
      schema,
      name,
      revision,
      snapshot,
    })),
  };
}

const inlineSpine = (said: Extract<SaidSpine, { from: 'rows' }>): OpenSpine => ({
  ...{ said, setup: [], files: [], pins: [], repeatable: true },
  relation: inlineRelation(said.rows, new Map(Object.entries(said.types))),
});

function unknownUpload(spine: Sha256, error: unknown): unknown {
  if (!isDomainError(error) || error.code !== 'table_unknown') return error;
  return new DomainError('spine_unknown', `Nothing with the hash ${spine} was uploaded.`, { spine });
}

/** The spine with the number of each row, from 1. */
export const numbered = ({ relation }: Pick<OpenSpine, 'relation'>): string =>
  `(SELECT *, row_number() OVER () AS ${quoteName(rowNumber)} FROM ${relation})`;

/** No column that can be declared is called so. */
export const rowNumber = '#row';
