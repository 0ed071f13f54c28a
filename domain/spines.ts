import { z } from 'zod';
import type { Sha256 } from './ids.js';
import { ColumnName, Duration, InstantSchema, ResourceNameSchema, Sha256Schema } from './names.js';

/** Where the rows of a training set come from: each has the keys and the instant that features are looked up for. */

const keyRowsMax = 10_000;

const GridKeys = z.union([
  z.strictObject({ view: ResourceNameSchema.describe('All keys that the view’s newest snapshot holds.') }),
  z.strictObject({
    entity: ResourceNameSchema.describe('Whose keys the rows name.'),
    rows: z
      .array(z.record(ColumnName, z.union([z.string().max(500), z.number(), z.boolean()])))
      .min(1)
      .max(keyRowsMax),
  }),
]);

export const Spine = z
  .discriminatedUnion('from', [
    z.strictObject({
      from: z.literal('sql'),
      sources: z.array(ResourceNameSchema).min(1).max(8).describe('The sources that the SQL reads, by name.'),
      sql: z.string().min(1).max(20_000).describe('One SELECT over the sources.'),
    }),
    z.strictObject({
      from: z.literal('parquet'),
      path: z.string().min(1).max(1000).describe('A file or glob in the folders that this server may read.'),
    }),
    z.strictObject({
      from: z.literal('upload'),
      spine: Sha256Schema.describe('What POST /datasets/spines answered.'),
    }),
    z.strictObject({
      from: z.literal('grid'),
      keys: GridKeys,
      start: InstantSchema.describe('The first instant of every key.'),
      end: InstantSchema.describe('The instant after the last.'),
      step: Duration,
    }),
    z.strictObject({
      from: z.literal('dataset'),
      dataset: z.string().min(1).max(200).describe('The rows of another training set, with its features.'),
    }),
  ])
  .meta({ id: 'Spine' });
export type Spine = z.infer<typeof Spine>;
export type GridSpine = Extract<Spine, { from: 'grid' }>;

export const spineLimits = {
  /** Of an upload. */
  bytes: 256 * 2 ** 20,
  columns: 1_000,
  uploadedRows: 20_000_000,
  rows: 100_000_000,
} as const;

/** Content types of Arrow IPC, as IANA lists them. */
export const arrowTypes = {
  stream: 'application/vnd.apache.arrow.stream',
  file: 'application/vnd.apache.arrow.file',
} as const;
export type ArrowForm = keyof typeof arrowTypes;

/** An uploaded table is a table of the lake, named by the hash of what was uploaded. */
const spinePrefix = 'spine_';
export const spineTable = (spine: Sha256): string => `${spinePrefix}${spine}`;
export const isSpineTable = (name: string): boolean => name.startsWith(spinePrefix);

/** Where the bytes of an upload lie until a worker has looked at them, relative to the artifacts. */
export const uploads = 'uploads';
export const uploadKey = (spine: Sha256): string => `${uploads}/${spine}`;
