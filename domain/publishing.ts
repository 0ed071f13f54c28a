import type { HandOver } from './hand-over.js';
import type { Instant, ProjectName } from './ids.js';
import type { OnlineValue } from './online.js';

/** Input of the workflow that writes a new generation of a view and flips to it. */
export interface PublishView {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
  /** Rows that could be known by then. Default: by the time of the publish. */
  readonly asOf?: Instant;
  readonly principal: string;
}

/** With what was committed of the rows that had been pushed to other revisions. */
export interface PlanPublish extends PublishView {
  readonly handedOver?: readonly HandOver[];
}

export interface PublishPlan {
  /** Of the generation's row. */
  readonly id: number;
  readonly generation: number;
  readonly snapshot: number;
  readonly sequence: number;
  readonly watermark: Instant;
}

export interface Published {
  readonly view: string;
  readonly revision: number;
  readonly generation: number;
  readonly snapshot: number;
  readonly watermark: Instant;
  readonly rows: number;
  /** Of the rows that were loaded; null when an erasure has taken some of them since. */
  readonly rowHash: string | null;
  /** Rows that were pushed meanwhile, or online only, and that the generation shows. */
  readonly replayed: number;
  /** The generation that readers saw before; null for the first. */
  readonly before: number | null;
  /** By revision: what was taken over of rows that had been pushed to it, and what was left, and why. */
  readonly handedOver: readonly HandOver[];
  /** Rows that were pushed to other revisions, and that readers and joins of this one do not see: push them again. */
  readonly left: number;
}

/** Input of the workflow that moves waiting pushed rows into commits. */
export interface FlushPushes {
  readonly project: ProjectName;
  readonly view: string;
  readonly principal: string;
}

export interface Flushed {
  readonly rows: number;
  readonly windows: number;
  /** Of the view's table, after the last of them; 0: nothing waited. */
  readonly snapshot: number;
}

/** Input of the workflow that holds online values against the offline answer. */
export interface VerifyOnline {
  readonly project: ProjectName;
  readonly view: string;
  /** How many keys are compared. Default: all. */
  readonly sample?: number;
  /** Which keys a sample has. */
  readonly seed: number;
  /** Writes what differs as it should be. */
  readonly repair: boolean;
  readonly principal: string;
}

export const differenceKinds = ['missing_online', 'missing_offline', 'stale', 'ahead', 'values_differ'] as const;
export type DifferenceKind = (typeof differenceKinds)[number];

/** A key whose online row is not what the offline store answers. */
export interface OnlineDifference {
  readonly key: readonly OnlineValue[];
  readonly why: DifferenceKind;
  /** Features whose values differ; empty where one side has no row. */
  readonly features: readonly string[];
  readonly online: { readonly eventTime: Instant; readonly values: readonly OnlineValue[] } | null;
  readonly offline: { readonly eventTime: Instant; readonly values: readonly OnlineValue[] } | null;
}

/** What a comparison found, in numbers. */
export interface OnlineVerified {
  readonly id: string;
  readonly view: string;
  readonly revision: number;
  readonly generation: number;
  readonly snapshot: number;
  /** The offline answer is that of this instant, and of what was pushed up to the sequence number. */
  readonly watermark: Instant | null;
  readonly sequence: number;
  /** Null: all keys. */
  readonly sample: number | null;
  readonly seed: number;
  /** Keys that were compared, online and offline ones together. */
  readonly compared: number;
  /** Of the buckets that keys are spread over those whose hashes differ. */
  readonly bucketsDiffering: number;
  readonly differing: number;
  readonly counts: Readonly<Record<DifferenceKind, number>>;
  readonly repaired: number;
}

export interface OnlineReport extends OnlineVerified {
  /** The first of them, by key. */
  readonly differences: readonly OnlineDifference[];
}
