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

/** Tests that say of each row whether it passes; the others look at a window as a whole. */
export const isRowTest = ({ test }: Expectation): boolean =>
  test !== 'null_share' && test !== 'freshness' && test !== 'volume';

/** What one expectation found in one window. */
export interface ExpectationResult {
  /** Its place in the view's list, from 0. */
  readonly position: number;
  readonly expectation: Expectation;
  readonly passed: boolean;
  /** Rows that it looked at. */
  readonly rows: number;
  /** Rows that break it; null for a test of the window as a whole. */
  readonly failed: number | null;
  /** What a test of the whole found: a share, seconds, or a number of rows. */
  readonly value: number | null;
  /** Keys and event time of a few rows that break it. */
  readonly samples: readonly Readonly<Record<string, unknown>>[];
}

/** `not_null(mean)`, `unique(place, event_time)`, `volume`. */
export function expectationName(expectation: Expectation): string {
  const { test } = expectation;
  if ('column' in expectation) return `${test}(${expectation.column})`;
  return 'columns' in expectation && expectation.columns ? `${test}(${expectation.columns.join(', ')})` : test;
}

/** A sentence for operators: `not_null(mean): 3 of 96 rows, such as place=a event_time=2001-01-05 00:00:00`. */
export function describeResult({ expectation, rows, failed, value, samples }: ExpectationResult): string {
  const name = expectationName(expectation);
  if (failed === null) return `${name}: ${value ?? 'nothing'} where ${boundsOf(expectation)} is expected`;
  const [first] = samples;
  const sample = Object.entries(first ?? {}).map(([column, text]) => `${column}=${String(text)}`);
  return `${name}: ${failed} of ${rows} rows${sample.length > 0 ? `, such as ${sample.join(' ')}` : ''}`;
}

function boundsOf(expectation: Expectation): string {
  const { min, max } = { min: undefined, max: undefined, ...expectation } as { min?: unknown; max?: unknown };
  return [min === undefined ? '' : `at least ${String(min)}`, max === undefined ? '' : `at most ${String(max)}`]
    .filter(Boolean)
    .join(', ');
}
