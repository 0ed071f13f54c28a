import { z } from 'zod';
import { invalidRequest } from './problem.js';

const limitMax = 1000;

export const limit = z.coerce.number().int().min(1).max(limitMax).default(100).describe(`At most ${limitMax}.`);
export const PageQuery = z.strictObject({
  limit,
  after: z.string().min(1).max(1000).optional().describe('The `next` of the page before.'),
});
export type PageQuery = z.infer<typeof PageQuery>;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Give it as `after` to read on; null at the end. */
  readonly next: string | null;
}

/** A page of rows of which one more than the limit was asked for. */
export function pageOf<Item>(rows: readonly Item[], size: number, idOf: (item: Item) => string | number): Page<Item> {
  const items = rows.slice(0, size);
  const last = items.at(-1);
  return { items, next: rows.length > size && last !== undefined ? String(idOf(last)) : null };
}

/** A page of a list that is short by nature and was read whole. */
export function pageOfAll<Item>(
  all: readonly Item[],
  { limit: size, after }: PageQuery,
  idOf: (item: Item) => string | number,
): Page<Item> {
  const at = after === undefined ? -1 : all.findIndex((item) => String(idOf(item)) === after);
  if (after !== undefined && at < 0)
    throw invalidRequest([{ field: 'query.after', message: `"${after}" is not here` }]);
  return pageOf(all.slice(at + 1, at + size + 2), size, idOf);
}

/** A position that is more than an id, as text that callers only hand back. */
export const encodeCursor = (position: unknown): string => Buffer.from(JSON.stringify(position)).toString('base64url');

export function decodeCursor<Position>(schema: z.ZodType<Position>, text: string): Position {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    value = undefined; // Not ours: refused like any other wrong value.
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalidRequest([{ field: 'query.after', message: 'is not the `next` of a page' }]);
  return parsed.data;
}
