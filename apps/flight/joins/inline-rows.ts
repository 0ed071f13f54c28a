import { z } from 'zod';
import { DomainError } from '../../../domain/errors.js';
import type { ProjectName } from '../../../domain/ids.js';
import type { JoinCatalogue } from '../../../domain/joins.js';
import { ColumnName } from '../../../domain/names.js';
import { joinedViews } from '../../../domain/references.js';
import { quoteName, quoteText, typed } from '../../../lake/duckdb.js';
import type { Selection } from '../../../lake/joins.js';

/** Rows that stand in the request itself. JSON says too little of types, so keys and event time take those of their views. */

const Cell = z.union([z.string(), z.number(), z.boolean(), z.null()]);
type Cell = z.infer<typeof Cell>;
export const InlineRows = z.array(z.record(ColumnName, Cell));
type Rows = z.infer<typeof InlineRows>;

/** The types of columns by their names. */
export type KeyTypes = ReadonlyMap<string, string>;

/** What the spine's columns are compared with. */
export async function keyTypesOf(
  catalogue: Pick<JoinCatalogue, 'view' | 'shape'>,
  project: ProjectName,
  { features, joins }: Selection,
  eventTime: string,
): Promise<KeyTypes> {
  const types = new Map([[eventTime, 'TIMESTAMP']]);
  for (const { view: name, keys } of joinedViews(features, joins)) {
    const shape = await catalogue.shape(project, await catalogue.view(project, name));
    for (const key of shape.keys) types.set(keys[key.name] ?? key.name, key.type);
  }
  return types;
}

/** Columns in the order in which rows first name them; what a row does not have is NULL. */
export function inlineRelation(rows: Rows, types: KeyTypes): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((name) => ({ name, type: types.get(name) ?? typeOf(name, rows.map((row) => row[name] ?? null)) })); // prettier-ignore
  const values = rows.map((row) => `(${columns.map(({ name, type }) => literal(row[name] ?? null, type)).join(', ')})`);
  return `(SELECT * FROM (VALUES ${values.join(', ')}) AS given(${names.map(quoteName).join(', ')}))`;
}

const literal = (value: Cell, type: string): string =>
  value === null ? `NULL::${type}` : typed(quoteText(String(value)), type);

function typeOf(column: string, values: readonly Cell[]): string {
  const kinds = new Set(values.filter((value) => value !== null).map((value) => typeof value));
  if (kinds.size > 1)
    throw new DomainError('spine_invalid', `"${column}" is ${[...kinds].join(' and ')}; give it one type.`, { column });
  if (kinds.has('boolean')) return 'BOOLEAN';
  if (!kinds.has('number')) return 'VARCHAR';
  return values.every((value) => value === null || Number.isSafeInteger(value)) ? 'BIGINT' : 'DOUBLE';
}
