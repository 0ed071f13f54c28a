import { z } from 'zod';
import { ColumnName, FeatureRef, Join, ResourceNameSchema, Sha256Schema } from './names.js';
import { FeatureNaming, JoinMode } from './point-in-time.js';

/** A point-in-time join that is asked for over Flight: nothing of it is kept. docs/flight-joins.md has examples. */

const inlineRowsMax = 1_000;

const Cell = z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()]);

export const JoinSpine = z.union([
  z.strictObject({ sha256: Sha256Schema.describe('What putting the table, or POST /datasets/spines, answered.') }),
  z.strictObject({ dataset: z.string().min(1).max(200).describe('The rows of a training set.') }),
  z.strictObject({ sql: z.string().min(1).max(64_000).describe('One SELECT over the tables of the project.') }),
  z.strictObject({
    rows: z
      .array(z.record(ColumnName, Cell))
      .min(1)
      .max(inlineRowsMax)
      .describe('The rows themselves. Keys and the event time have the types of what they are compared with.'),
  }),
]);
export type JoinSpine = z.infer<typeof JoinSpine>;

/** What rows are joined with, wherever they come from. */
export const Joining = z.strictObject({
  eventTime: ColumnName.default('event_time').describe('The column of the spine as of which features are joined.'),
  features: z.array(FeatureRef).max(500).default([]),
  service: ResourceNameSchema.optional().describe('A FeatureService, whose features come first.'),
  joins: z.array(Join).max(32).default([]).describe('Views that are joined under another name, or by other columns.'),
  naming: FeatureNaming.default('full'),
  mode: JoinMode.default('known_at'),
});
export type Joining = z.infer<typeof Joining>;

export const JoinRequest = Joining.extend({ spine: JoinSpine }).meta({ id: 'JoinRequest' });
export type JoinRequest = z.infer<typeof JoinRequest>;
