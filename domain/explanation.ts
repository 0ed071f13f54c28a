import { z } from 'zod';
import type { Lane, Window } from './features.js';
import type { Instant, ProjectName } from './ids.js';
import { ColumnName, InstantSchema } from './names.js';
import type { OnlineStatus, OnlineValue } from './online.js';

/** Why a feature has the value that it has: which row won, what it was made from, and which rows lost to it. */

const positive = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

export const ExplainValue = z
  .strictObject({
    feature: ColumnName.describe('The feature of the view.'),
    key: z
      .record(ColumnName, z.union([z.string().max(1000), z.number(), z.boolean()]))
      .default({})
      .describe('The entity’s keys and their values; empty for a view without entity.'),
    at: InstantSchema.describe('The instant that the value is asked for.'),
    revision: positive
      .max(2 ** 31 - 1)
      .optional()
      .describe('Of the view. Default: the active one.'),
    snapshot: positive.optional().describe('Of that revision’s table. Default: the newest.'),
  })
  .meta({ id: 'ExplainValue' });
export type ExplainValue = z.infer<typeof ExplainValue>;

/** Input of the workflow that explains. */
export interface ExplainInput extends Omit<ExplainValue, 'revision'> {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
}

/**
 * What became of a row with the right keys. `future`: true only later. `not_yet_known`: true by then, known only later.
 * `older`: another row is truer to the instant. `known_earlier`: of the same event time, but known before the row that won.
 * `replaced`: a pushed row of the same instants stands above it.
 * `tie`: of the same event time and known-at; the order of the contents decides.
 */
export const verdicts = ['won', 'future', 'not_yet_known', 'older', 'known_earlier', 'replaced', 'tie'] as const;
export type CandidateVerdict = (typeof verdicts)[number];

export interface Candidate {
  readonly verdict: CandidateVerdict;
  readonly eventTime: Instant;
  /** The event time where the view has no known-at or the row's is NULL. */
  readonly knownAt: Instant;
  readonly value: OnlineValue;
  readonly lane: Lane;
  /** The object that holds the row, and its number there, from 0. Null: pushed and not yet in a file. */
  readonly file: string | null;
  readonly row: number | null;
}

/** A commit as those want to see it who ask where a row came from. */
export interface CommitOrigin {
  readonly window: Window;
  readonly commit: number;
  /** The first snapshot that shows it. */
  readonly snapshot: number;
  readonly committedAt: Instant;
  /** The run that made it. */
  readonly workflowId: string;
  readonly principal: string;
}

/** The commit that the winning row came with. */
export interface Origin extends CommitOrigin {
  readonly lane: Lane;
  readonly file: { readonly key: string; readonly sha256: string; readonly rows: number } | null;
}

/** By whom and when a row was pushed. */
export interface PushOrigin {
  readonly id: string;
  readonly principal: string;
  readonly pushedAt: Instant;
  readonly sequence: number;
}

/** A source as far as it reaches the winning row's window. */
export interface ReachingSource {
  readonly name: string;
  readonly revision: number;
  readonly format: string;
  /** The event time of rows that the window was computed from: its lookback and itself. */
  readonly slice: Window;
  /** Of file sources, those that hold rows of the slice. */
  readonly files: readonly { readonly path: string; readonly rows: number }[];
  /** Where the rows are when they are in no files that can be told apart. */
  readonly place: string | null;
  /** Files of the source that were not looked into, because there are too many. */
  readonly filesLeftOff: number;
}

export interface Explanation {
  readonly view: string;
  readonly revision: number;
  /** Of the declaration: equal hashes mean equal SQL, entity, TTL and sources' names. */
  readonly definition: string;
  readonly feature: string;
  readonly type: string;
  readonly key: Readonly<Record<string, OnlineValue>>;
  readonly at: Instant;
  readonly snapshot: number;
  readonly value: OnlineValue;
  readonly status: OnlineStatus;
  readonly ttl: {
    readonly declared: string | null;
    readonly state: 'valid' | 'OUTSIDE_MAX_AGE' | 'no value';
    /** The last instant at which the winning row counts; null: for ever, or nothing won. */
    readonly until: Instant | null;
  };
  /** False: the view has no known-at, so a correction rewrites its history. */
  readonly bitemporal: boolean;
  readonly winner: Candidate | null;
  readonly origin: Origin | null;
  /** Null when its sources gave it. */
  readonly push: PushOrigin | null;
  /** Windows that the instant may need and that were never computed. */
  readonly missing: readonly Window[];
  readonly sources: readonly ReachingSource[];
  /** Whether the rows of the sources that reach the window are still those it was computed from; null for what was pushed. */
  readonly sourcesState: 'as committed' | 'changed since' | null;
  /** The rows that lost, nearest to the instant first, a few of each verdict. */
  readonly others: readonly Candidate[];
  readonly counts: Readonly<Record<CandidateVerdict, number>>;
  /** What the online store answers now; null when the view is not published. */
  readonly online: {
    readonly value: OnlineValue;
    readonly status: OnlineStatus;
    readonly eventTime: Instant | null;
    readonly revision: number;
    readonly generation: number;
  } | null;
}
