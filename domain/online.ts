import type { Column } from './features.js';
import type { Instant } from './ids.js';

/** What an online value is, as Feast names it. Outside of its maximal age a value is NULL to whoever asks. */
export const onlineStatuses = ['PRESENT', 'NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE'] as const;
export type OnlineStatus = (typeof onlineStatuses)[number];

/** What JSON can say of a feature: TIMESTAMP as an instant, BIGINT beyond 2^53 as text, NaN and infinities as text. */
export type OnlineValue = string | number | boolean | null;

/** An entity's key, in the order of the Entity's keys; empty for a view without entity. */
export type KeyValues = readonly OnlineValue[];

/** One answered column: values, statuses and event times of one feature, in the order in which the entities were asked. */
export interface OnlineColumn {
  /** As it was asked, `view:feature`. */
  readonly ref: string;
  /** DuckDB's name of the values' type. */
  readonly type: string;
  readonly values: readonly OnlineValue[];
  readonly statuses: readonly OnlineStatus[];
  /** Null where nothing was found. */
  readonly eventTimes: readonly (Instant | null)[];
}

/** Which generation of a view an answer was read from: one for all of its rows. */
export interface OnlineGeneration {
  readonly view: string;
  readonly revision: number;
  /** 0 for a view that was never published, where the caller allowed that. */
  readonly generation: number;
}

export interface OnlineAnswer {
  readonly columns: readonly OnlineColumn[];
  readonly generations: readonly OnlineGeneration[];
}

/** What the rows of a generation mean: enough to read and to write them, whatever is declared meanwhile. */
export interface OnlineShape {
  readonly keys: readonly Column[];
  readonly eventTime: string;
  readonly knownAt: string | null;
  readonly ttlMicros: number | null;
  readonly features: readonly Column[];
}

/** A row that is pushed: keys, event time, known-at where the view has one, and features, by column name. */
export type PushedRow = Readonly<Record<string, OnlineValue>>;
export const pushTargets = ['online', 'offline', 'online_and_offline'] as const;
export type PushTarget = (typeof pushTargets)[number];
