import { z } from 'zod';
import { DomainError } from '../../../domain/errors.js';
import { ProjectNameSchema } from '../../../domain/names.js';
import { nameAsRead, tableSchemas } from '../../../domain/tables.js';
import type { Description } from '../../../lake/read/plan.js';
import type { Reader } from '../../../lake/read/reader.js';
import type { Parameter, PinnedStatement, Statements } from '../../../lake/statements/statements.js';
import type { Call } from '../call.js';
import type { Readable } from '../readable.js';
import { describedSchema, encodedSchema } from './columns.js';

export const ParameterSchema = z.strictObject({ type: z.string(), text: z.string().nullable() });

const TableRefSchema = z.strictObject({
  project: ProjectNameSchema,
  schema: z.enum(tableSchemas),
  name: z.string(),
  revision: z.int32(),
  snapshot: z.int(),
});

/** What the ticket of a statement says: which tables it was pinned to, and the values that it was bound to. */
export const StatementContent = z.strictObject({
  kind: z.literal('sql_statement'),
  sql: z.string(),
  tables: z.array(z.strictObject({ ref: TableRefSchema, as: z.string() })),
  repeatable: z.boolean(),
  parameters: z.array(ParameterSchema),
});
export type StatementContent = z.infer<typeof StatementContent>;

export interface StatementDeps {
  readonly statements: Statements;
  readonly reader: Pick<Reader, 'describe'>;
}

/** Pins every table that the statement reads, by the project and the schema of the call. */
export const pin = ({ statements }: Pick<StatementDeps, 'statements'>, sql: string, call: Call) =>
  statements.pin(sql, { project: call.project, ...(call.schema === null ? {} : { schema: call.schema }) });

/** With the schema of its answer: DuckDB prepares it for that. Throws `parameters_invalid` when values are missing. */
export async function statementReadable(
  { reader }: Pick<StatementDeps, 'reader'>,
  pinned: PinnedStatement,
  parameters: readonly Parameter[],
  call: Call,
): Promise<Readable> {
  requireParameters(pinned, parameters);
  const readable = openedStatement(pinned, parameters);
  const plan = pinned.plan(parameters);
  const schema = answerSchema(await reader.describe(plan), pinned, call);
  return { ...readable, source: { type: 'plan', plan, repeatable: pinned.repeatable, schema } };
}

/** From a ticket: its schema was told already. */
export function openedStatement(pinned: PinnedStatement, parameters: readonly Parameter[]): Readable {
  const { sql, repeatable } = pinned;
  const tables = pinned.tables.map(({ table, as }) => {
    const { project, schema, revision, snapshot } = table;
    return { as, ref: { project, schema, name: nameAsRead(table), revision, snapshot } };
  });
  const content: StatementContent = { kind: 'sql_statement', sql, tables, repeatable, parameters: [...parameters] };
  const whole = wholeTable(pinned);
  return {
    contents: [content],
    pins: pinned.tables.map(({ table: { project, schema, name, revision, snapshot } }) => ({
      project,
      schema,
      name,
      revision,
      snapshot,
    })),
    rows: whole?.rows ?? null,
    bytes: whole?.bytes ?? null,
    metadata: {
      repeatable,
      tables: pinned.tables.map(({ table: { project, schema, name, revision, snapshot, rowHash } }) => ({
        ...{ project, schema, name, revision, snapshot, rowHash },
      })),
    },
    source: { type: 'plan', plan: pinned.plan(parameters), repeatable },
  };
}

function requireParameters({ parameterCount }: PinnedStatement, parameters: readonly Parameter[]): void {
  if (parameters.length === parameterCount) return;
  const wanted = parameterCount === 1 ? '1 parameter' : `${parameterCount} parameters`;
  throw new DomainError('parameters_invalid', `The statement has ${wanted}, and ${parameters.length} are bound.`);
}

export const answerSchema = (description: Description, { tables }: PinnedStatement, { project }: Call): Buffer => {
  const [only, ...others] = tables;
  const owner = only && others.length === 0 ? { schema: only.table.schema, table: only.table.name } : {};
  return encodedSchema(describedSchema(description, { catalog: project, ...owner }));
};

const everythingOfOne = /^SELECT \* FROM [^\s(),;]+(?: AS [^\s(),;]+)?;?$/;

/** The table when the statement, as DuckDB writes it, is all of its rows. */
function wholeTable({ sql, tables }: PinnedStatement): { readonly rows: number; readonly bytes: number } | null {
  const [only, ...others] = tables;
  if (!only || others.length > 0 || only.table.corrections) return null;
  return everythingOfOne.test(sql.trim()) ? only.table : null;
}
