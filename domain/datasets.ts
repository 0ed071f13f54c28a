import { z } from 'zod';
import type { Column, Window } from './features.js';
import type { Instant, ProjectName, ResourceName, Sha256 } from './ids.js';
import { ColumnName, FeatureRef, InstantSchema, Joins, ResourceNameSchema } from './names.js';
import { FeatureNaming, JoinMode, type PinnedView } from './point-in-time.js';
import { isSpineTable, Spine, type ArrowForm } from './spines.js';
import { Split, type TimePart } from './splits.js';
import type { ColumnStatistics } from './statistics.js';

/** What a training set is to hold, and what is kept of one that was built. A Model's training sets are of the same kind. */

export const DatasetName = ResourceNameSchema.refine((name) => !isSpineTable(name), 'must not begin with spine_');

const LabelSource = z.union([
  z.strictObject({ model: ResourceNameSchema.describe('What eider labels uploaded for the Model.') }),
  z.strictObject({ dataset: z.string().min(1).max(200).describe('What was uploaded for the training set.') }),
]);
/** Whose uploaded labels. */
export type LabelSource = { readonly model: string } | { readonly dataset: string };

export const DatasetLabel = z
  .strictObject({
    column: ColumnName,
    type: z
      .enum(['BOOLEAN', 'BIGINT', 'DOUBLE', 'VARCHAR'])
      .default('BOOLEAN')
      .describe('Of the label when the spine has no such column: labels may come later.'),
    knownAt: ColumnName.optional().describe('When the label can be known. One that is known after asOf is NULL.'),
    unknown: z
      .enum(['keep', 'drop'])
      .default('keep')
      .describe('keep: rows whose label is unknown stay, with NULL; it may come later. drop: they are left out.'),
    uploads: LabelSource.optional().describe('Whose uploaded labels count. Default: those of this training set.'),
  })
  .meta({ id: 'DatasetLabel' });

const DatasetWindow = z
  .strictObject({ start: InstantSchema, end: InstantSchema })
  .refine(({ start, end }) => start < end, { message: 'must be after start', path: ['end'] });

export const DatasetSpec = z
  .strictObject({
    name: DatasetName,
    spine: Spine,
    eventTime: ColumnName.default('event_time').describe('The column of the spine as of which features are joined.'),
    key: z
      .array(ColumnName)
      .min(1)
      .max(8)
      .optional()
      .describe('What identifies a row. Uploaded labels find theirs by it.'),
    window: DatasetWindow.optional().describe(
      'Only this slice of event time, of the sources and of what the SQL makes.',
    ),
    order: z
      .enum(['spine', 'time'])
      .default('spine')
      .describe('spine: rows come out in the order in which they went in. time: sorted by event time and key.'),
    features: z.array(FeatureRef).max(500).default([]),
    service: ResourceNameSchema.optional().describe('A FeatureService, whose features come first.'),
    joins: Joins,
    naming: FeatureNaming.default('full'),
    mode: JoinMode.default('known_at'),
    asOf: InstantSchema.optional().describe('No feature and no label that became known after it is used.'),
    systemTime: InstantSchema.optional().describe(
      'Views are read as they were committed by this instant. Default: their newest state.',
    ),
    split: Split.optional(),
    label: DatasetLabel.optional(),
  })
  .refine(({ label, key }) => label === undefined || key !== undefined || label.uploads === undefined, {
    message: 'is needed to find uploaded labels',
    path: ['key'],
  })
  .meta({ id: 'DatasetSpec' });
export type DatasetSpec = z.infer<typeof DatasetSpec>;

/** A source as a spine read it; `revision` is 0 for what is no declared Source. */
export interface PinnedSource {
  readonly name: string;
  readonly revision: number;
  /** The state of its files. */
  readonly version: string;
}

/** A table of the lake that a spine was read from: an upload, the keys of a view, another training set. */
export interface PinnedRows {
  readonly schema: 'datasets' | 'features';
  readonly name: string;
  readonly revision: number;
  readonly snapshot: number;
  readonly rowHash: string;
  /** The last pushed row that was read beside the snapshot; absent: none was. */
  readonly sequence?: number;
}

/** Uploaded labels as a training set took them. */
export interface PinnedLabels {
  /** The last upload that was looked at. */
  readonly upTo: number;
  /** Rows whose label is an uploaded one. */
  readonly used: number;
}

/** Everything that is needed to make the same training set again, and to tell whether it is the same. */
export interface DatasetManifest {
  readonly name: string;
  /** With the service's features and joins, and every name as it was resolved. */
  readonly spec: DatasetSpec;
  readonly specHash: Sha256;
  /** Whose training set it is; null: nobody's. */
  readonly model: string | null;
  readonly modelRevision: number | null;
  readonly asOf: Instant | null;
  readonly window: Window;
  /** Where a split by time cuts. */
  readonly cuts: readonly TimePart[];
  readonly sources: readonly PinnedSource[];
  readonly tables: readonly PinnedRows[];
  readonly views: readonly PinnedView[];
  readonly columns: readonly Column[];
  /** What a model sees, in order. */
  readonly inputs: readonly string[];
  readonly label: string | null;
  readonly key: readonly string[];
  /** By part. */
  readonly rows: Readonly<Record<string, number>>;
  /** Of a BOOLEAN label, by part. */
  readonly positives: Readonly<Record<string, number>>;
  readonly labels: PinnedLabels | null;
  /** Of the spine's own columns, labels included. */
  readonly spineHash: Sha256;
  readonly rowHash: Sha256;
  /** Of the file as it was written. */
  readonly sha256: Sha256;
  /** Whole numbers, which add up over sets and windows. Empty since an erasure took rows: they may be values of those. */
  readonly statistics: readonly ColumnStatistics[];
  readonly engine: string;
  /** The training set whose rows these are, with other labels. */
  readonly relabels: string | null;
}

export const rowsOf = ({ rows }: Pick<DatasetManifest, 'rows'>): number =>
  Object.values(rows).reduce((sum, part) => sum + part, 0);

/** The same rows with the labels that are known by another instant, as a training set of its own. */
export function relabelled(
  { name, spec, cuts }: DatasetManifest,
  { name: newName, asOf }: { readonly name: ResourceName; readonly asOf?: Instant },
): DatasetSpec {
  // Its rows have their features already: no view is read in any state.
  const { window: _window, service: _service, systemTime: _systemTime, label, split, ...kept } = spec;
  return {
    ...kept,
    ...{ name: newName, spine: { from: 'dataset', dataset: name }, order: 'spine', features: [], joins: [] },
    ...(asOf === undefined ? {} : { asOf }),
    ...(split === undefined
      ? {}
      : { split: split.by === 'time' ? { ...split, parts: cuts.map((cut) => ({ ...cut })) } : split }),
    ...(label === undefined
      ? {}
      : { label: { ...label, uploads: label.uploads ?? { dataset: name }, unknown: 'keep' } }),
  };
}

/** Input of the workflow that builds a training set of anybody's asking. */
export interface BuildDataset {
  readonly project: ProjectName;
  readonly spec: DatasetSpec;
  readonly principal: string;
}

export interface BuiltDataset {
  readonly name: string;
  readonly rowHash: string;
  readonly rows: number;
}

/** Input of the workflow that looks at an uploaded table and keeps it. */
export interface TakeSpine {
  readonly project: ProjectName;
  readonly spine: Sha256;
  readonly form: ArrowForm;
  readonly principal: string;
}

export interface TakenSpine {
  readonly spine: Sha256;
  readonly rows: number;
  readonly columns: readonly Column[];
}

/** Input of the workflows that look whether a training set is still what it was. */
export interface CheckDataset {
  readonly project: ProjectName;
  readonly name: string;
  readonly principal: string;
}

/** A part of a file that is not as it was written. */
export interface Damage {
  readonly file: string;
  /** Null when it lies in no row group: the footer, or a file that does not read as Parquet any more. */
  readonly rowGroup: number | null;
  readonly column: string | null;
  readonly detail: string;
}

export interface VerifiedDataset {
  readonly name: string;
  /** `erased`: as it is since an erasure took rows from it. */
  readonly verdict: 'intact' | 'erased' | 'damaged';
  readonly rowHash: { readonly recorded: string; readonly found: string | null };
  readonly damage: readonly Damage[];
  readonly reasons: readonly string[];
}

export interface RecreatedDataset {
  readonly name: string;
  /** `erased`: what came out is as it is since an erasure took rows from it. `gone`: something that it was made of is not there any more. */
  readonly verdict: 'same' | 'erased' | 'different' | 'gone';
  readonly rowHash: { readonly recorded: string; readonly found: string | null };
  /** Where the spine's rows came from: read again, or out of the set because what they were read from has changed. */
  readonly spine: 'read' | 'kept' | null;
  readonly reasons: readonly string[];
}

/** What a verification or a recreation found, as it is recorded. */
export interface DatasetCheck {
  readonly id: number;
  readonly kind: 'verify' | 'recreate';
  readonly verdict: string;
  readonly result: VerifiedDataset | RecreatedDataset;
  readonly workflowId: string;
  readonly checkedAt: Instant;
  readonly principal: string;
}
