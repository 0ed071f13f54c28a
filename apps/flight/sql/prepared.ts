import { createHash } from 'node:crypto';
import { DataType, Field, Null, Schema, TimeMillisecond, TimestampMillisecond } from 'apache-arrow';
import { z } from 'zod';
import { DomainError, isDomainError } from '../../../domain/errors.js';
import { tableSchemas } from '../../../domain/tables.js';
import type { Description } from '../../../lake/read/plan.js';
import { encapsulated } from '../../../lake/read/schema.js';
import type { Parameter, PinnedStatement } from '../../../lake/statements/statements.js';
import type { Call } from '../call.js';
import type { FlightData } from '../protocol.js';
import type { Readable } from '../readable.js';
import { newFlight, type Tickets } from '../ticket.js';
import { decodedSchema, encodedSchema } from './columns.js';
import type { SqlAnswers } from './messages.js';
import { readParameters } from './parameters.js';
import { answerSchema, ParameterSchema, pin, statementReadable, type StatementDeps } from './statement.js';

export interface PreparedDeps extends StatementDeps {
  /** Signs handles as well. */
  readonly tickets: Tickets;
  readonly bound: BoundValues;
}

/** Values for clients that bind some and then go on with the handle that they had: of the last few, in this process. */
export interface BoundValues {
  keep(handle: Buffer, parameters: readonly Parameter[]): void;
  of(handle: Buffer): readonly Parameter[];
  forget(handle: Buffer): void;
}

const boundMax = 256;

export function boundValues(): BoundValues {
  const values = new Map<string, readonly Parameter[]>();
  const keyOf = (handle: Buffer) => createHash('sha256').update(handle).digest('base64');
  return {
    keep(handle, parameters) {
      values.delete(keyOf(handle));
      values.set(keyOf(handle), parameters);
      const [oldest] = values.keys();
      if (values.size > boundMax && oldest !== undefined) values.delete(oldest);
    },
    of: (handle) => values.get(keyOf(handle)) ?? [],
    forget: (handle) => void values.delete(keyOf(handle)),
  };
}

/**
 * The statement itself, and the values that it was bound to: a handle survives restarts, is good on every instance, and needs
 * no closing. Its tables are pinned each time that it is executed.
 */
const Handle = z.strictObject({
  kind: z.literal('sql_prepared'),
  sql: z.string(),
  schema: z.enum(tableSchemas).nullable(),
  /** Null: nothing was bound. */
  parameters: z.array(ParameterSchema).nullable(),
});
type Handle = z.infer<typeof Handle>;

/** A handle gives nothing away that its owner may not read: each execution asks for that again. */
const neverMs = Number.MAX_SAFE_INTEGER;

/** Each is another one, also of the same statement: what one client binds is never another's. */
const signed = ({ tickets }: PreparedDeps, handle: Handle, call: Call): Buffer =>
  tickets.sign(handle, call, newFlight(), neverMs);

/** The handle, and the call on behalf of its project and its schema. Throws `prepared_unknown`. */
function opened({ tickets }: PreparedDeps, bytes: Buffer, call: Call): { handle: Handle; owner: Call } {
  const ticket = openedTicket(tickets, bytes);
  const handle = Handle.safeParse(ticket?.content);
  if (!ticket || !handle.success || ticket.principal !== call.principal || ticket.project !== call.project)
    throw new DomainError('prepared_unknown', 'It was not made here, or for another caller or project.');
  return { handle: handle.data, owner: { ...call, schema: handle.data.schema } };
}

function openedTicket(tickets: Tickets, bytes: Buffer) {
  try {
    return tickets.open(bytes);
  } catch (error) {
    if (isDomainError(error)) return null;
    throw error;
  }
}

/** CreatePreparedStatement. */
export async function prepare(
  deps: PreparedDeps,
  sql: string,
  call: Call,
): Promise<SqlAnswers['ActionCreatePreparedStatementResult']> {
  const pinned = await pin(deps, sql, call);
  const { description, parameters } = await describe(deps, pinned);
  return {
    prepared_statement_handle: signed(deps, { kind: 'sql_prepared', sql, schema: call.schema, parameters: null }, call),
    dataset_schema: encapsulated(answerSchema(description, pinned, call)),
    parameter_schema: encapsulated(encodedSchema(parameters)),
    is_update: false,
  };
}

/** ClosePreparedStatement. */
export function close(deps: PreparedDeps, handle: Buffer, call: Call): void {
  opened(deps, handle, call);
  deps.bound.forget(handle);
}

/** DoPut of CommandPreparedStatementQuery: the handle of the statement with these values, in the place of the old one. */
export async function bind(
  deps: PreparedDeps,
  bytes: Buffer,
  messages: AsyncIterable<FlightData>,
  call: Call,
): Promise<Buffer> {
  const parameters = await readParameters(messages);
  const { handle } = opened(deps, bytes, call);
  const updated = signed(deps, { ...handle, parameters: parameters ?? [] }, call);
  deps.bound.keep(bytes, parameters ?? []);
  return updated;
}

/** GetFlightInfo and GetSchema of CommandPreparedStatementQuery. */
export async function execution(deps: PreparedDeps, bytes: Buffer, call: Call): Promise<Readable> {
  const { handle, owner } = opened(deps, bytes, call);
  const parameters = handle.parameters ?? deps.bound.of(bytes);
  return statementReadable(deps, await pin(deps, handle.sql, owner), parameters, owner);
}

/** Answer and parameters before any value is known; where DuckDB cannot tell their types, as if all values were NULL. */
async function describe(
  { reader }: PreparedDeps,
  pinned: PinnedStatement,
): Promise<{ description: Description; parameters: Schema }> {
  const description = await reader.describe(pinned.plan()).catch((error: unknown) => {
    if (pinned.parameterCount > 0 && isDomainError(error) && error.code === 'type_unsupported') return null;
    throw error;
  });
  if (description) return { description, parameters: await parameterSchema({ reader }, description.parameters) };
  const nulls: Parameter[] = Array.from({ length: pinned.parameterCount }, () => ({ type: 'NULL', text: null }));
  const unknown = nulls.map((_, index) => new Field(String(index + 1), new Null(), true));
  return { description: await reader.describe(pinned.plan(nulls)), parameters: new Schema(unknown) };
}

/** By what DuckDB sends for a column of the type; null is how Flight SQL says that it is not known. */
async function parameterSchema({ reader }: Pick<PreparedDeps, 'reader'>, types: readonly string[]): Promise<Schema> {
  if (types.length === 0) return new Schema([]);
  const casts = types.map((type, index) => `CAST(NULL AS ${type === 'UNKNOWN' ? 'BOOLEAN' : type}) AS "${index + 1}"`);
  const { schema } = await reader.describe({ setup: [], sql: `SELECT ${casts.join(', ')}`, files: [], rows: null });
  const { fields } = decodedSchema(schema);
  return new Schema(
    fields.map(({ name, type }, index) => {
      const arrow = types[index] === 'UNKNOWN' ? new Null() : parameterType(type as DataType);
      return new Field(name, arrow, true);
    }),
  );
}

/** The JDBC driver puts milliseconds into whatever unit it finds, so milliseconds is what it is to find. */
function parameterType(type: DataType): DataType {
  if (DataType.isTimestamp(type)) return new TimestampMillisecond(type.timezone);
  return DataType.isTime(type) ? new TimeMillisecond() : type;
}
