import { join as joinPath } from 'node:path';
import { DomainError, isDomainError } from '../../../domain/errors.js';
import type { Window } from '../../../domain/features.js';
import type { ProjectName } from '../../../domain/ids.js';
import type { Joining } from '../../../domain/join-requests.js';
import type { PinnedView } from '../../../domain/point-in-time.js';
import type { Revision } from '../../../domain/resources.js';
import type { TableColumn, TableRef } from '../../../domain/tables.js';
import { around } from '../../../lake/coverage.js';
import { quoteName } from '../../../lake/duckdb.js';
import { resolveJoins, withService, type JoinDependencies, type Selection, type ViewPin } from '../../../lake/joins.js';
import { filesRelation, pointInTimeJoin, type JoinView } from '../../../lake/point-in-time.js';
import { overlay, snapshotRelation } from '../../../lake/pushes.js';
import type { ReadPlan } from '../../../lake/read/plan.js';
import { requireDistinct, requireFit } from '../../../lake/spine-fit.js';
import type { JoinsDeps } from './deps.js';
import { numbered, rowNumber, type OpenSpine } from './spine.js';

/** Views in one state each, ready to be joined. */
export interface PinnedJoins {
  readonly joining: Joining;
  readonly selection: Selection;
  readonly views: readonly JoinView[];
  readonly pinned: readonly PinnedView[];
  /** What the features are called in the result. */
  readonly columns: readonly string[];
  readonly files: readonly string[];
}

/** Between the first question about a snapshot and the lease of whoever reads it. */
const pinMs = 300_000;

/**
 * The views that are asked for: in the newest states that cover the range, or in those of the pins. What was pushed beside
 * their snapshots is only named while they are pinned, and copied when they are to be read.
 */
export async function pinJoins(
  deps: JoinsDeps,
  project: ProjectName,
  joining: Joining,
  { range, pins }: { readonly range: Window | null; readonly pins?: Readonly<Record<string, ViewPin>> },
): Promise<PinnedJoins> {
  const { catalogue } = deps;
  const { features, joins } = await withService(catalogue, project, joining);
  const selection = { features, joins, naming: joining.naming };
  const files: string[] = [];
  const dependencies: JoinDependencies = {
    catalogue: { ...catalogue, promise: (table) => catalogue.promise(table, pinMs) },
    stage: staging(deps, files, pins !== undefined),
  };
  const options = { mode: joining.mode, range, ...(pins ? { pins } : {}) };
  const resolved = await resolveJoins(dependencies, project, selection, options);
  return {
    ...{ joining, selection, files, views: resolved.views, pinned: resolved.pinned },
    columns: resolved.columns.map(({ column }) => column),
  };
}

function staging(
  { catalogue, lake, pushed }: JoinsDeps,
  files: string[],
  forReading: boolean,
): JoinDependencies['stage'] {
  return async (table, shape, upTo) => {
    files.push(...table.files.map(({ key }) => lake.path(key)));
    const relation = snapshotRelation(table.files, table.columns, lake.path, shape);
    const sequence = upTo === 'newest' ? await catalogue.lastPushed(table.project, table.name) : upTo;
    if (sequence === null || sequence === 0) return { relation, sequence: null };
    if (!forReading) return { relation, sequence: (await catalogue.hasPushed(table, sequence)) ? sequence : null };
    const path = await pushed.of(table, shape, sequence);
    files.push(path);
    return { relation: overlay(relation, filesRelation([path], table.columns), shape), sequence };
  };
}

/** All rows of a view in its newest state, as joins read them. */
export async function viewRelation(
  deps: JoinsDeps,
  project: ProjectName,
  { name, revision }: Revision<'FeatureView'>,
): Promise<{
  relation: string;
  files: readonly string[];
  columns: readonly TableColumn[];
  keys: string[];
  pin: TableRef;
}> {
  const files: string[] = [];
  const view = await deps.catalogue.view(project, name, revision);
  const shape = await deps.catalogue.shape(project, view);
  const table = await deps.tables.resolve(project, 'features', `${name}@r${revision}`).catch((error: unknown) => {
    if (!isDomainError(error) || error.code !== 'table_unknown') throw error;
    throw new DomainError('features_not_materialized', `View "${name}" has no commit.`, { view: name });
  });
  const { snapshot, columns } = table;
  const { relation } = await staging(deps, files, true)(table, shape, 'newest');
  const pin = { project, schema: 'features', name, revision, snapshot } as const;
  return { relation, files, columns, pin, keys: shape.keys.map((key) => key.name) };
}

export const pinsOf = (views: readonly PinnedView[]): Record<string, ViewPin> =>
  Object.fromEntries(views.map(({ view, revision, snapshot, sequence }) => [view, { revision, snapshot, sequence }]));

/** The snapshots of the views, and others; one that is joined twice is one. */
export function refsOf(
  project: ProjectName,
  views: readonly PinnedView[],
  others: readonly TableRef[] = [],
): TableRef[] {
  const refs = views.map(({ view, revision, snapshot }) => ({
    ...{ project, schema: 'features' as const, name: view, revision, snapshot },
  }));
  return [...new Map([...others, ...refs].map((ref) => [Object.values(ref).join('/'), ref])).values()];
}

/** Throws `join_invalid` or `feature_names_collide` when the spine's columns do not fit the views. */
export function requireJoinable(spine: readonly TableColumn[], joined: PinnedJoins): void {
  requireDistinct([...spine.map(({ name }) => name), ...joined.columns]);
  requireFit(spine, joined.joining.eventTime, joined.views);
}

/** The joined rows in the spine's order. */
export function joinPlan(spine: OpenSpine, joined: PinnedJoins, rows: number | null): ReadPlan {
  const { joining, views, files } = joined;
  const all = pointInTimeJoin(numbered(spine), joining.eventTime, views);
  const number = quoteName(rowNumber);
  return {
    setup: spine.setup,
    sql: `SELECT * EXCLUDE (${number}) FROM ${all} ORDER BY ${number}`,
    files: [...spine.files, ...files],
    rows,
    // Its spine is the client's, and so is what DuckDB has against it.
    ofClient: true,
  };
}

/** The columns of a spine, before anything is joined. */
export async function columnsOf(
  { reader }: JoinsDeps,
  { setup, relation, files }: Pick<OpenSpine, 'setup' | 'relation' | 'files'>,
): Promise<TableColumn[]> {
  const { columns } = await reader.describe({ setup, files, sql: `SELECT * FROM ${relation}`, rows: null });
  return [...columns];
}

/** How many rows a spine has, and between which instants they lie. */
export async function extentOf(
  { reader }: JoinsDeps,
  { setup, relation }: Pick<OpenSpine, 'setup' | 'relation'>,
  eventTime: string,
): Promise<{ rows: number; range: Window | null }> {
  const micros = (name: 'min' | 'max') => `epoch_us(${name}(${quoteName(eventTime)}::TIMESTAMP))`;
  const text = await reader.text(
    `SELECT json_array(count(*), ${micros('min')}, ${micros('max')})::VARCHAR FROM ${relation}`,
    [],
    setup,
  );
  const [rows, first, last] = JSON.parse(text) as [number, number | null, number | null];
  if (first === null || last === null) return { rows, range: null };
  return { rows, range: around(first, last) };
}

export const scratchFile = ({ scratch }: Pick<JoinsDeps, 'scratch'>, name: string): string => joinPath(scratch, name);
