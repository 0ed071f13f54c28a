import { DomainError } from '../domain/errors.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import type { JoinCatalogue } from '../domain/joins.js';
import type { Join } from '../domain/names.js';
import type { OnlineShape } from '../domain/online.js';
import { historyOf, type FeatureNaming, type JoinMode, type PinnedView } from '../domain/point-in-time.js';
import { joinedViews, type JoinedView } from '../domain/references.js';
import type { Revision } from '../domain/resources.js';
import type { PinnedTable } from '../domain/tables.js';
import { requireCovered } from './coverage.js';
import { nameFeatures, type JoinView } from './point-in-time.js';

export interface JoinDependencies {
  readonly catalogue: JoinCatalogue;
  /** Makes a view's files, and what was pushed up to the sequence number, one relation. */
  readonly stage: (table: PinnedTable, shape: OnlineShape, upTo: number | null | 'newest') => Promise<StagedView>;
}

/** A view at one snapshot with the rows that were pushed to it and are in none of its files yet. */
export interface StagedView {
  readonly relation: string;
  /** The last pushed row that can be in it; null: nothing but the snapshot. */
  readonly sequence: number | null;
}

/** Which features are wanted, of which views, under which names; `withService` adds those of a FeatureService. */
export interface Selection {
  /** `name:feature`; entries without a colon are columns of the spine and not looked at. */
  readonly features: readonly string[];
  readonly joins: readonly Join[];
  /** Default: full. */
  readonly naming?: FeatureNaming;
}

/** The state of a view that is to be read again. */
export type ViewPin = Pick<PinnedView, 'revision' | 'snapshot' | 'sequence'>;

export interface JoinOptions {
  /** Default: known_at. */
  readonly mode?: JoinMode;
  /** The event time of the spine's rows: windows that they need and that were never computed are an error. Null: no rows. */
  readonly range: Window | null;
  /** By view, all that are joined: those states are read, and their coverage was checked when they were first. */
  readonly pins?: Readonly<Record<string, ViewPin>>;
  /** Without pins: the snapshots that were the newest at this instant of commit time, without what only waited then. */
  readonly systemTime?: Instant | undefined;
}

export interface ResolvedJoins {
  /** One a joined name, in the order in which the selection first names them; for `pointInTimeJoin`. */
  readonly views: readonly JoinView[];
  readonly pinned: readonly PinnedView[];
  /** The result's columns of the features that were asked for, in that order. */
  readonly columns: readonly { readonly feature: string; readonly column: string }[];
}

/**
 * The views behind a selection, each pinned to one state: its newest unless the options say which. A view that is joined
 * under two names is read in one state.
 */
export async function resolveJoins(
  dependencies: JoinDependencies,
  project: ProjectName,
  { features: refs, joins, naming = 'full' }: Selection,
  options: JoinOptions,
): Promise<ResolvedJoins> {
  const features = refs.filter((ref) => ref.includes(':'));
  const columns = nameFeatures(features, naming);
  const asked = joinedViews(features, joins);
  const states = new Map<string, ViewState>();
  for (const { view } of asked)
    if (!states.has(view)) states.set(view, await stateOf(dependencies, project, view, options));
  const mode = options.mode ?? 'known_at';
  const named = new Map(columns.map(({ feature, column }) => [feature, column]));
  const resolved = asked.map((one) => resolve(one, states.get(one.view) as ViewState, mode, named));
  return {
    views: resolved.map(({ view }) => ({ ...view, range: options.range })),
    pinned: resolved.map(({ pinned }) => pinned),
    columns,
  };
}

/** A selection with what a FeatureService asks for: its features come first, and its joins hold too. */
export async function withService(
  catalogue: Pick<JoinCatalogue, 'service'>,
  project: ProjectName,
  { features, joins, service }: Selection & { readonly service?: string | undefined },
): Promise<Pick<Selection, 'features' | 'joins'>> {
  const { spec } =
    service === undefined ? { spec: { features: [], joins: [] } } : await catalogue.service(project, service);
  return { features: [...new Set([...spec.features, ...features])], joins: requireOneEach([...spec.joins, ...joins]) };
}

function requireOneEach(joins: readonly Join[]): readonly Join[] {
  const twice = joins.find(({ name }, at) => joins.findIndex((one) => one.name === name) < at);
  if (!twice) return joins;
  throw new DomainError('join_invalid', `Two joins are called "${twice.name}".`, { join: twice.name });
}

/** One state of a view, and how its rows are read. */
interface ViewState {
  readonly view: Revision<'FeatureView'>;
  readonly keys: readonly Column[];
  readonly table: PinnedTable;
  readonly relation: string;
  readonly sequence: number | null;
  readonly distinct: boolean;
}

async function stateOf(
  { catalogue, stage }: JoinDependencies,
  project: ProjectName,
  name: string,
  { range, pins, systemTime }: JoinOptions,
): Promise<ViewState> {
  const { tables } = catalogue;
  const pin = pins?.[name];
  if (pins && !pin)
    throw new DomainError('request_invalid', `The view "${name}" is joined, but not pinned.`, { view: name });
  const view = await catalogue.view(project, name, pin?.revision);
  const { revision } = view;
  const then = systemTime === undefined ? '' : `@t${systemTime}`;
  const { snapshot } = pin ?? (await newest(tables.resolve(project, 'features', `${name}@r${revision}${then}`), view));
  const ref = { project, schema: 'features' as const, name, revision, snapshot };
  if (!pin && range) requireCovered(view, await catalogue.windows(ref, then ? 'then' : range.end), range);
  await catalogue.promise(ref, joinMsMax);
  // Its files are asked for only now: those that compaction or an erasure replaced before the promise may be gone.
  const table = await tables.at(project, 'features', name, revision, snapshot);
  const shape = await catalogue.shape(project, view);
  const { relation, sequence } = await stage(table, shape, pin ? pin.sequence : then ? null : 'newest');
  return {
    ...{ view, table, keys: shape.keys, relation, sequence },
    distinct: sequence === null && (await catalogue.isDistinct(ref)),
  };
}

/** Garbage collection leaves a snapshot alone while it is joined, however short the retention is; longer joins rely on that. */
const joinMsMax = 6 * 3_600_000;

const newest = (resolving: Promise<PinnedTable>, { name, revision }: Revision<'FeatureView'>): Promise<PinnedTable> =>
  resolving.catch((error: unknown) => {
    if (!(error instanceof DomainError) || error.code !== 'table_unknown') throw error;
    const message = `View "${name}" revision ${revision} has no commit.`;
    throw new DomainError('features_not_materialized', message, { view: name });
  });

function resolve(
  { name, view: viewName, keys: renamed, features }: JoinedView,
  { view: { spec }, keys, table, relation, sequence, distinct }: ViewState,
  mode: JoinMode,
  named: ReadonlyMap<string, string>,
): { view: JoinView; pinned: PinnedView } {
  const unknown = features.filter((feature) => !spec.features.some((one) => one.name === feature));
  if (unknown.length > 0) {
    const known = spec.features.map((feature) => feature.name);
    const message = `View "${viewName}" has no feature ${unknown.join(', ')}; it has ${known.join(', ')}.`;
    throw new DomainError('reference_unknown', message, { view: viewName, unknown, known });
  }
  const strange = Object.keys(renamed).filter((key) => !keys.some((one) => one.name === key));
  if (strange.length > 0) {
    const known = keys.map((key) => key.name);
    const message = `The join "${name}" maps ${strange.join(', ')}, but the keys of "${viewName}" are ${known.join(', ') || 'none'}.`;
    throw new DomainError('join_invalid', message, { join: name, unknown: strange, known });
  }
  return {
    view: {
      ...{ name, relation, mode, distinct, eventTime: spec.eventTime, knownAt: spec.knownAt ?? null },
      keys: keys.map((key) => ({ column: key.name, type: key.type, spine: renamed[key.name] ?? key.name })),
      ttlMicros: spec.ttl === undefined ? null : durationMicros(spec.ttl),
      features: features.map((column) => ({ column, as: named.get(`${name}:${column}`) as string })),
      content: spec.features.map((feature) => feature.name),
    },
    pinned: {
      ...{ name, view: viewName, revision: table.revision, snapshot: table.snapshot, sequence },
      rowHash: table.rowHash ?? '',
      ...historyOf(spec.knownAt !== undefined, mode),
    },
  };
}
