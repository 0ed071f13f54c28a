import { z } from 'zod';
import { durationMicros, durationPattern, instant } from './instants.js';
import type { ProjectName, ResourceName, RunId, Sha256, Instant } from './ids.js';

/** Words that a name may not be, because SQL or a Flight path would read them otherwise. */
const reservedNames = new Set(
  'all and as asc between by case cast datasets desc distinct else end except false features from full group having in inference inner intersect into is join left like limit monitoring not null offset on or order outer quarantine right select table then true union using values when where with'.split(
    ' ',
  ),
);

const name = z
  .string()
  .regex(
    /^[a-z][a-z0-9_]{0,62}$/,
    'must be lower case letters, digits and _, starting with a letter, at most 63 characters',
  )
  .refine((text) => !reservedNames.has(text), 'is a reserved word');

export const ProjectNameSchema = name.transform((text) => text as ProjectName);
export const ResourceNameSchema = name.transform((text) => text as ResourceName);
export const ColumnName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'must be a plain column name: letters, digits and _')
  .refine((text) => text.toLowerCase() !== 'rowid', 'is what the engine calls the place of a row')
  .describe('A column name.');
export const RunIdSchema = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'must be 32 hex digits')
  .transform((text) => text as RunId);
export const Sha256Schema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')
  .transform((text) => text as Sha256);
/** 284 years: what lies that far from an instant is still counted in whole microseconds. */
const durationMax = '104000d';
export const Duration = z
  .string()
  .regex(durationPattern, 'must be a duration such as 90m, 3h or 7d')
  .refine(
    (text) => !durationPattern.test(text) || durationMicros(text) <= durationMicros(durationMax),
    `must be at most ${durationMax}`,
  )
  .describe('A duration such as 90m, 3h or 7d.');

/** A duration that somebody waits for: at most a week. */
export const Timeout = Duration.refine(
  (text) => !durationPattern.test(text) || durationMicros(text) <= durationMicros('7d'),
  'must be at most 7d',
);

export const InstantSchema = z
  .string()
  .transform((text, context): Instant => {
    try {
      return instant(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  })
  .describe('An ISO 8601 instant; without a zone it is UTC.');

/** `view:feature`, as Feast writes it. */
export const FeatureRef = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,62}:[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'must be view:feature')
  .describe('A feature, as view:feature.');

/** A view that is joined under a name of its own, by columns of the spine that are called otherwise than its keys. */
export const Join = z
  .strictObject({
    name: ResourceNameSchema.describe('What references call it: name:feature.'),
    view: ResourceNameSchema,
    keys: z
      .record(ColumnName, ColumnName)
      .default({})
      .describe('The view’s keys and the columns of the spine that they are compared with. Default: of the same name.'),
  })
  .meta({ id: 'Join' });
export type Join = z.infer<typeof Join>;
export const Joins = z
  .array(Join)
  .max(32)
  .refine((joins) => new Set(joins.map(({ name }) => name)).size === joins.length, 'must have distinct names')
  .default([])
  .describe('Views that are joined under another name, or by other columns.');

export const SqlText = z.string().min(1).max(20_000);
export const DuckDbType = z.enum([
  'BOOLEAN', 'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'FLOAT', 'DOUBLE', 'VARCHAR', 'DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE',
]); // prettier-ignore
