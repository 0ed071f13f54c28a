import { z } from 'zod';
import { Expectation } from './expectations.js';
import {
  ColumnName,
  DuckDbType,
  Duration,
  FeatureRef,
  InstantSchema,
  Joins,
  ResourceNameSchema,
  SqlText,
  Timeout,
} from './names.js';
import { SourceSpec } from './sources.js';
import { requireDivision, Split } from './splits.js';

/** What people declare. One schema a kind: the type, the HTTP body, the YAML check and OpenAPI all come from it. */

export { SourceSpec };

export const EntitySpec = z
  .strictObject({
    keys: z
      .array(z.strictObject({ name: ColumnName, type: DuckDbType }))
      .min(1)
      .max(8)
      .describe('The join keys, in order.'),
  })
  .meta({ id: 'EntitySpec' });
export type EntitySpec = z.infer<typeof EntitySpec>;

export const FeatureViewSpec = z
  .strictObject({
    entity: ResourceNameSchema.optional().describe(
      'Whose keys tell the rows apart. Without one a row holds for everybody.',
    ),
    sources: z.array(ResourceNameSchema).min(1).max(8).describe('The sources that the SQL reads, by name.'),
    sql: SqlText.describe('One SELECT that yields the entity’s keys, the event time and the features.'),
    eventTime: ColumnName.default('event_time').describe(
      'The column of the result that says when the value became true.',
    ),
    knownAt: ColumnName.optional().describe(
      'The column of the result that says when the value could be known. Default: the event time.',
    ),
    ttl: Duration.optional().describe('How long a value stays valid. Default: for ever.'),
    lookback: Duration.describe('How far before a window source rows still matter to it.'),
    window: Duration.default('1d').describe('The slice of event time that is computed and committed at once.'),
    features: z
      .array(z.strictObject({ name: ColumnName, type: DuckDbType, description: z.string().max(500).optional() }))
      .min(1)
      .max(500),
    expectations: z.array(Expectation).max(100).default([]).describe('Tried on every window before it is committed.'),
    online: z
      .boolean()
      .default(false)
      .describe('Whether a materialization that commits windows is published by itself.'),
  })
  .meta({ id: 'FeatureViewSpec' });
export type FeatureViewSpec = z.infer<typeof FeatureViewSpec>;

export const FeatureServiceSpec = z
  .strictObject({ features: z.array(FeatureRef).min(1).max(500), joins: Joins })
  .meta({ id: 'FeatureServiceSpec' });
export type FeatureServiceSpec = z.infer<typeof FeatureServiceSpec>;

export const metricNames = ['auc', 'log_loss', 'brier', 'calibration_gap', 'calibration_error'] as const;
export type MetricName = (typeof metricNames)[number];

export const Gate = z
  .strictObject({
    metric: z.enum(metricNames),
    max: z.number().optional().describe('The candidate’s value may not be above this.'),
    min: z.number().optional().describe('The candidate’s value may not be below this.'),
    worseThanChampionBy: z
      .number()
      .min(0)
      .optional()
      .describe('How much worse than the champion’s on the same rows the candidate may be; 0 means no worse.'),
  })
  .refine((gate) => gate.max !== undefined || gate.min !== undefined || gate.worseThanChampionBy !== undefined, {
    message: 'must have max, min or worseThanChampionBy',
  })
  .meta({ id: 'Gate' });
export type Gate = z.infer<typeof Gate>;

export const SpineSpec = z
  .strictObject({
    source: ResourceNameSchema,
    sql: SqlText.describe(
      'One SELECT over the source: keys, event time, label, known-at, entity keys and plain inputs.',
    ),
    key: z.array(ColumnName).min(1).max(8).describe('What identifies a row.'),
    eventTime: ColumnName.describe('When the prediction is asked for: features are joined as of this instant.'),
    knownAt: ColumnName.describe('When the label can be known.'),
    label: ColumnName.describe('A BOOLEAN column.'),
  })
  .meta({ id: 'SpineSpec' });
export type SpineSpec = z.infer<typeof SpineSpec>;

export const ModelSpec = z
  .strictObject({
    task: z.literal('binary').default('binary'),
    spine: SpineSpec,
    inputs: z
      .array(z.union([FeatureRef, ColumnName]))
      .min(1)
      .max(500)
      .describe('What the model sees, in order: spine columns, and features as view:feature.'),
    joins: Joins,
    history: Duration.describe('How much event time before the as-of instant is used.'),
    holdout: Duration.optional().describe('The last part of it, held out for evaluation.'),
    split: Split.optional().describe('In place of holdout: another division, with the parts train and test.'),
    slices: z
      .array(ColumnName)
      .max(8)
      .default([])
      .describe('Columns of the spine whose values get metrics of their own.'),
    trainer: z.strictObject({
      name: ResourceNameSchema,
      parameters: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).default({}),
      seed: z
        .int()
        .min(0)
        .max(2 ** 31 - 1)
        .default(1),
      timeout: Timeout.default('30m'),
    }),
    gates: z.array(Gate).max(32).default([]),
    endpoint: ResourceNameSchema.optional().describe('Where a promoted version is rolled out.'),
  })
  .refine((spec) => new Set(spec.inputs.map(inputColumn)).size === spec.inputs.length, {
    message: 'inputs must have distinct names',
    path: ['inputs'],
  })
  .superRefine(requireDivision)
  .meta({ id: 'ModelSpec' });
export type ModelSpec = z.infer<typeof ModelSpec>;

/** The column of an input in a training set: `view:feature` becomes `view__feature`, as Feast’s full feature names. */
export const inputColumn = (input: string): string => input.replace(':', '__');

export const EndpointSpec = z
  .strictObject({
    model: ResourceNameSchema,
    policy: z
      .strictObject({
        goldenTolerance: z
          .number()
          .min(0)
          .max(1)
          .default(1e-6)
          .describe('How far an instance’s answer to a golden row may be from the trainer’s.'),
        readyTimeout: Timeout.default('5m').describe('How long a rollout waits for every live instance to be ready.'),
      })
      .prefault({}),
  })
  .meta({ id: 'EndpointSpec' });
export type EndpointSpec = z.infer<typeof EndpointSpec>;

export const MonitorTest = z
  .discriminatedUnion('test', [
    z.strictObject({
      test: z.literal('psi'),
      max: z.number().positive(),
      columns: z.array(z.string()).optional().describe('Input columns, or prediction. Default: all.'),
    }),
    z.strictObject({
      test: z.literal('null_share'),
      max: z.number().min(0).max(1),
      columns: z.array(z.string()).optional(),
    }),
    z.strictObject({ test: z.literal('row_count'), min: z.int().min(0) }),
    z.strictObject({
      test: z.literal('metric'),
      metric: z.enum(metricNames),
      min: z.number().optional(),
      max: z.number().optional(),
      absolute: z.boolean().default(false).describe('Compare the absolute value.'),
      windows: z.strictObject({ breached: z.int().min(1), of: z.int().min(1).max(52) }).default({ breached: 1, of: 1 }),
    }),
  ])
  .meta({ id: 'MonitorTest' });
export type MonitorTest = z.infer<typeof MonitorTest>;

export const MonitorSpec = z
  .strictObject({
    endpoint: ResourceNameSchema,
    window: Duration.default('7d').describe('The slice of event time that a tick scores; also the time between ticks.'),
    start: InstantSchema.describe('The first tick.'),
    end: InstantSchema.optional().describe('The last tick.'),
    labelDelay: Duration.default('0d').describe('How long after a label’s known-at it is waited for.'),
    tests: z.array(MonitorTest).min(1).max(64),
    baseline: z
      .enum(['first', 'none'])
      .default('none')
      .describe('first: also judge what the first version would have answered, had nobody acted.'),
    remedy: z.enum(['retrain', 'none']).default('none').describe('What an alert starts.'),
  })
  .meta({ id: 'MonitorSpec' });
export type MonitorSpec = z.infer<typeof MonitorSpec>;

export const specSchemas = {
  Source: SourceSpec,
  Entity: EntitySpec,
  FeatureView: FeatureViewSpec,
  FeatureService: FeatureServiceSpec,
  Model: ModelSpec,
  Endpoint: EndpointSpec,
  Monitor: MonitorSpec,
} as const;

export type Kind = keyof typeof specSchemas;
export const kinds = Object.keys(specSchemas) as [Kind, ...Kind[]];
export const KindSchema = z.enum(kinds);
export type Spec<K extends Kind = Kind> = z.infer<(typeof specSchemas)[K]>;

const about = {
  name: ResourceNameSchema,
  description: z.string().max(2000).optional(),
  owner: z.string().max(200).optional(),
};
const resource = <K extends Kind>(kind: K) =>
  z.strictObject({ kind: z.literal(kind), ...about, spec: specSchemas[kind] });

export const Resource = z
  .discriminatedUnion('kind', [
    resource('Source'),
    resource('Entity'),
    resource('FeatureView'),
    resource('FeatureService'),
    resource('Model'),
    resource('Endpoint'),
    resource('Monitor'),
  ]) // prettier-ignore
  .meta({ id: 'Resource' });
export type Resource = z.infer<typeof Resource>;

/** Revisions of what a feature view refers to, by Kind/name. */
export type Pins = Readonly<Record<string, number>>;

/** A resource as the server keeps it: immutable, canonicalised and hashed once at apply. */
export interface Revision<K extends Kind = Kind> {
  readonly kind: K;
  readonly name: string;
  readonly revision: number;
  readonly hash: string;
  readonly description?: string;
  readonly owner?: string;
  readonly spec: Spec<K>;
  /** Of a feature view: what it was made with. Its hash covers these as well as its spec. */
  readonly pins?: Pins;
  readonly createdAt: string;
  readonly principal: string;
}
