import { z } from 'zod';
import { ColumnName, Duration } from './names.js';

/**
 * What a view promises of its rows, tried on every window before it is committed. `block` commits nothing, `warn` commits and
 * says so, `quarantine` commits the rows that pass and keeps the others aside.
 */
const wholeWindow = { severity: z.enum(['block', 'warn']).default('block') };
const eachRow = { severity: z.enum(['block', 'warn', 'quarantine']).default('block') };

export const Expectation = z
  .discriminatedUnion('test', [
    z.strictObject({ test: z.literal('not_null'), column: ColumnName, ...eachRow }),
    z.strictObject({
      test: z.literal('type'),
      column: ColumnName.describe('A column of the result whose every value must be one of the declared type.'),
      ...eachRow,
    }),
    z
      .strictObject({
        test: z.literal('range'),
        column: ColumnName,
        min: z.number().optional(),
        max: z.number().optional(),
        ...eachRow,
      }) // prettier-ignore
      .refine(({ min, max }) => min !== undefined || max !== undefined, 'must have min or max'),
    z.strictObject({
      test: z.literal('domain'),
      column: ColumnName,
      values: z.array(z.union([z.string(), z.number(), z.boolean()])).min(1).max(1000), // prettier-ignore
      ...eachRow,
    }),
    z.strictObject({
      test: z.literal('unique'),
      columns: z.array(ColumnName).min(1).max(16).optional().describe('Default: the keys and the event time.'),
      ...eachRow,
    }),
    z.strictObject({
      test: z.literal('null_share'),
      column: ColumnName,
      max: z.number().min(0).max(1),
      ...wholeWindow,
    }),
    z.strictObject({
      test: z.literal('freshness'),
      max: Duration.describe('How long before the window’s end its newest row may lie.'),
      ...wholeWindow,
    }),
    z
      .strictObject({
        test: z.literal('volume'),
        min: z.int().min(0).optional(),
        max: z.int().min(0).optional(),
        ...wholeWindow,
      }) // prettier-ignore
      .refine(({ min, max }) => min !== undefined || max !== undefined, 'must have min or max'),
  ])
  .meta({ id: 'Expectation' });
export type Expectation = z.infer<typeof Expectation>;
