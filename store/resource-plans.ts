import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { digestOf } from '../domain/json.js';
import { referenceKey, referencesOf } from '../domain/references.js';
import type { Kind, Pins, Resource, Revision } from '../domain/resources.js';
import type { Queries } from './db.js';

/** What `apply` did, or `plan` would do, to one resource. */
export interface Change {
  readonly kind: Kind;
  readonly name: string;
  readonly change: 'created' | 'updated' | 'restored' | 'unchanged';
  readonly revision: number;
  readonly hash: string;
  /** Top-level fields of the spec that differ from the active revision. */
  readonly fields: string[];
  /** What a feature view refers to and changes with it, as Kind/name: reason enough for a revision of its own. */
  readonly because: string[];
}

export interface Planned {
  readonly change: Change;
  readonly resource: Resource;
  /** Of feature views. */
  readonly pins?: Pins;
}

/**
 * What applying would change: first what is given, in its order, then the feature views that refer to what changes and so get
 * a revision of their own. Refuses references to what neither exists nor is applied with it.
 */
export async function planAll(
  db: Queries,
  project: ProjectName,
  resources: readonly Resource[],
  revisions: readonly Revision[],
): Promise<Planned[]> {
  const active = new Map(revisions.map((one) => [referenceKey(one), one]));
  requireReferences(resources, active);
  const planned = new Map<string, Planned>();
  const plan = async (resource: Resource) => {
    planned.set(referenceKey(resource), await planOne(db, project, resource, active, planned));
  };
  // One after the other: within a transaction there is one connection. Views come after what they refer to.
  const isView = ({ kind }: { kind: Kind }) => kind === 'FeatureView';
  for (const resource of resources.filter((one) => !isView(one))) await plan(resource);
  for (const resource of resources.filter(isView)) await plan(resource);
  const given = resources.map(referenceKey);
  const changes = (key: string) => (planned.get(key)?.change.change ?? 'unchanged') !== 'unchanged';
  const dependents = revisions
    .filter((one) => isView(one) && !planned.has(referenceKey(one)))
    .map(asDeclared)
    .filter((view) => referencesOf(view).map(referenceKey).some(changes));
  for (const view of dependents) await plan(view);
  return [...given, ...dependents.map(referenceKey)].map((key) => planned.get(key) as Planned);
}

function requireReferences(resources: readonly Resource[], active: ReadonlyMap<string, Revision>): void {
  const keys = resources.map(referenceKey);
  const repeated = keys.filter((key, at) => keys.indexOf(key) !== at);
  if (repeated.length > 0) throw new DomainError('resource_invalid', `${repeated[0]} is declared twice.`, { repeated });
  const known = new Set([...active.keys(), ...keys]);
  for (const resource of resources)
    for (const missing of referencesOf(resource).map(referenceKey))
      if (!known.has(missing))
        throw new DomainError(
          'reference_unknown',
          `${referenceKey(resource)} refers to ${missing}, which does not exist.`,
          { resource: referenceKey(resource), missing },
        );
}

/** An active revision as its owner would apply it again. */
function asDeclared({ kind, name, spec, description, owner }: Revision): Resource {
  const about = { ...(description === undefined ? {} : { description }), ...(owner === undefined ? {} : { owner }) };
  return { kind, name, spec, ...about } as Resource;
}

async function planOne(
  db: Queries,
  project: ProjectName,
  resource: Resource,
  active: ReadonlyMap<string, Revision>,
  planned: ReadonlyMap<string, Planned>,
): Promise<Planned> {
  const { kind, name } = resource;
  const before = active.get(referenceKey(resource));
  const references = kind === 'FeatureView' ? referencesOf(resource).map(referenceKey) : [];
  const state = (key: string) => planned.get(key)?.change ?? (active.get(key) as Revision);
  const hash =
    kind === 'FeatureView'
      ? digestOf({ spec: resource.spec, references: references.map((key) => [key, state(key).hash]) })
      : digestOf(resource.spec);
  const pins = kind === 'FeatureView' ? Object.fromEntries(references.map((key) => [key, state(key).revision])) : undefined; // prettier-ignore
  const because = references.filter((key) => before?.pins?.[key] !== undefined && before.pins[key] !== pins?.[key]);
  const base = { kind, name, hash, fields: changedFields(before?.spec, resource.spec), because };
  const as = (change: Pick<Change, 'change' | 'revision'>): Planned => ({
    ...{ resource, change: { ...base, ...change } },
    ...(pins ? { pins } : {}),
  });
  if (before?.hash === hash) return as({ change: 'unchanged', revision: before.revision });
  const [same] = await db.query<{ revision: number }>(
    'SELECT revision FROM revisions WHERE project = $1 AND kind = $2 AND name = $3 AND hash = $4',
    [project, kind, name, hash],
  );
  if (same) return as({ change: 'restored', revision: same.revision });
  const [last] = await db.query<{ max: number | null }>(
    'SELECT max(revision) AS max FROM revisions WHERE project = $1 AND kind = $2 AND name = $3',
    [project, kind, name],
  );
  return as({ change: before ? 'updated' : 'created', revision: (last?.max ?? 0) + 1 });
}

function changedFields(before: object | undefined, after: object): string[] {
  const old = (before ?? {}) as Record<string, unknown>;
  const next = after as Record<string, unknown>;
  return [...new Set([...Object.keys(old), ...Object.keys(next)])]
    .filter((key) => digestOf(old[key]) !== digestOf(next[key]))
    .sort();
}
