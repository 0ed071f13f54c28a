import type { Writable } from 'node:stream';
import type { Window } from './features.js';
import type { Instant, ProjectName } from './ids.js';
import type { OnlineShape } from './online.js';
import type { Revision } from './resources.js';
import type { TableReader, TableRef } from './tables.js';

/** What point-in-time joins need to know about the lake: views and services by name, and the states of their tables. */
export interface JoinCatalogue {
  readonly tables: Pick<TableReader, 'resolve' | 'at'>;
  /** The active revision unless it says which. Throws `resource_unknown`. */
  view(project: ProjectName, name: string, revision?: number): Promise<Revision<'FeatureView'>>;
  service(project: ProjectName, name: string): Promise<Revision<'FeatureService'>>;
  /** The active revisions of all of them. */
  views(project: ProjectName): Promise<readonly Revision<'FeatureView'>[]>;
  services(project: ProjectName): Promise<readonly Revision<'FeatureService'>[]>;
  shape(project: ProjectName, view: Revision<'FeatureView'>): Promise<OnlineShape>;
  /** Windows that sources were computed for: by now, of those that begin before the instant, or when the snapshot was made. */
  windows(table: TableRef, before: Instant | 'then'): Promise<readonly Window[]>;
  /** Whether no two rows of the snapshot have the same keys and event time. */
  isDistinct(table: TableRef): Promise<boolean>;
  /** Garbage collection leaves the snapshot alone for so long. Throws `snapshot_collected`. */
  promise(table: TableRef, forMs: number): Promise<void>;
  /** The number of the last row that was pushed to the view; 0: none. */
  lastPushed(project: ProjectName, view: string): Promise<number>;
  /** Whether any row was pushed up to the sequence number that no file of the snapshot holds. */
  hasPushed(table: TableRef, sequence: number): Promise<boolean>;
  /** These rows, as texts for lake/online.ts: readTexts. */
  copyPushed(table: TableRef, sequence: number, rows: Writable): Promise<void>;
}
