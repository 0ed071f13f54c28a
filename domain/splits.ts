import { z } from 'zod';
import type { Instant } from './ids.js';
import { durationMicros, durationPattern, instant, plusMicros } from './instants.js';
import { ColumnName } from './names.js';
import { spineLimits } from './spines.js';

/** How the rows of a training set are divided. Which part a row belongs to depends on the row alone, never on where it lies. */

const PartName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be lower case letters, digits and _, starting with a letter')
  .describe('What the column `split` says of its rows.');

const Seed = z
  .int()
  .min(0)
  .max(2 ** 31 - 1)
  .default(1);

const shareTolerance = 1e-9;
const Parts = z
  .array(z.strictObject({ name: PartName, share: z.number().positive().max(1) }))
  .min(2)
  .max(16)
  .refine(
    (parts) => Math.abs(parts.reduce((sum, { share }) => sum + share, 0) - 1) <= shareTolerance,
    'must have shares that add up to 1',
  ) // prettier-ignore
  .refine((parts) => new Set(parts.map(({ name }) => name)).size === parts.length, 'must have distinct names');

/** A manifest names all columns of the spine here when nobody said which, and a spine’s may be called anything. */
const SpineColumn = z.string().min(1).max(1000);

/** An instant, or how long before the end. */
const Cut = z
  .string()
  .refine((text) => durationPattern.test(text) || isInstant(text), 'must be an instant, or a duration such as 7d')
  .describe('An instant, or a duration that counts back from asOf, or without one from the last row.');

export const Split = z
  .discriminatedUnion('by', [
    z.strictObject({
      by: z.literal('time'),
      parts: z
        .array(z.strictObject({ name: PartName, from: Cut }))
        .min(1)
        .max(15)
        .describe('Each holds the rows from its cut on, up to the next one’s; rows before the first cut are `train`.'),
    }),
    z.strictObject({
      by: z.literal('random'),
      parts: Parts,
      seed: Seed.describe('Another seed divides otherwise.'),
      key: z
        .array(SpineColumn)
        .min(1)
        .max(spineLimits.columns)
        .optional()
        .describe('Rows that agree in these columns stay together. Default: the key, or every column of the spine.'),
    }),
    z.strictObject({
      by: z.literal('group'),
      parts: Parts,
      seed: Seed.describe('Another seed divides otherwise.'),
      columns: z.array(ColumnName).min(1).max(16).describe('All rows with equal values here are in one part.'),
    }),
  ])
  .describe('How rows are divided into parts, which the column `split` names.')
  .meta({ id: 'Split' });
export type Split = z.infer<typeof Split>;

/** The column that says which part a row belongs to. */
export const splitColumn = 'split';
/** What the rows before the first cut of time are called. */
export const firstPart = 'train';
/** The part that a model is judged by. */
export const heldOutPart = 'test';
/** What the rows of a set that is not divided are counted as. */
export const wholePart = 'all';

/** A part of a split by time: its rows lie at or after the instant, and before the next one's. */
export interface TimePart {
  readonly name: string;
  readonly from: Instant;
}

/** Where a split by time cuts, in order of time. */
export const timeParts = ({ parts }: Extract<Split, { by: 'time' }>, end: Instant): TimePart[] =>
  parts
    .map(({ name, from }) => ({ name, from: cutAt(from, end) }))
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));

const cutAt = (text: string, end: Instant): Instant =>
  durationPattern.test(text) ? plusMicros(end, -durationMicros(text)) : instant(text);

function isInstant(text: string): boolean {
  try {
    instant(text);
    return true;
  } catch {
    return false;
  }
}

/** A Model has a holdout or a split, and either makes what it is trained on and what it is judged by. */
export function requireDivision(
  { holdout, split }: { readonly holdout?: string; readonly split?: Split },
  context: z.RefinementCtx,
): void {
  const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
  if ((holdout === undefined) === (split === undefined))
    issue('holdout', split === undefined ? 'is required, or else split' : 'does not go together with split');
  const names = [...(split?.by === 'time' ? [firstPart] : []), ...(split?.parts.map(({ name }) => name) ?? [])];
  if (split && ![firstPart, heldOutPart].every((needed) => names.includes(needed)))
    issue('split', `must have the parts ${firstPart} and ${heldOutPart}`);
}
