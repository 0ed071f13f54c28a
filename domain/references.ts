import type { Join } from './names.js';
import type { Kind, Resource } from './resources.js';

export interface Reference {
  readonly kind: Kind;
  readonly name: string;
}

/** What a resource cannot be without. */
export function referencesOf(resource: Resource): Reference[] {
  switch (resource.kind) {
    case 'Source':
    case 'Entity':
      return [];
    case 'FeatureView':
      return [
        ...(resource.spec.entity === undefined ? [] : [{ kind: 'Entity' as const, name: resource.spec.entity }]),
        ...resource.spec.sources.map(source),
      ];
    case 'FeatureService':
      return viewsOf(resource.spec.features, resource.spec.joins);
    case 'Model':
      return [source(resource.spec.spine.source), ...viewsOf(resource.spec.inputs, resource.spec.joins)];
    case 'Endpoint':
      return [{ kind: 'Model', name: resource.spec.model }];
    case 'Monitor':
      return [{ kind: 'Endpoint', name: resource.spec.endpoint }];
  }
}

const source = (name: string): Reference => ({ kind: 'Source', name });

/** A view as `name:feature` references join it, with the features that they want of it, in their order. */
export interface JoinedView extends Join {
  readonly features: readonly string[];
}

/** The views behind `name:feature` references, in the order in which they are first named; plain columns are none. */
export function joinedViews(refs: readonly string[], joins: readonly Join[]): JoinedView[] {
  const joined = new Map<string, Join & { features: string[] }>();
  for (const ref of refs.filter((one) => one.includes(':'))) {
    const [name, feature] = ref.split(':') as [string, string];
    const join = joins.find((one) => one.name === name) ?? ({ name, view: name, keys: {} } as Join);
    const known = joined.get(name) ?? { ...join, features: [] as string[] };
    known.features.push(feature);
    joined.set(name, known);
  }
  return [...joined.values()];
}

const viewsOf = (refs: readonly string[], joins: readonly Join[]): Reference[] =>
  [...new Set(joinedViews(refs, joins).map(({ view }) => view))].map((name) => ({ kind: 'FeatureView', name }));

export const referenceKey = ({ kind, name }: Reference): string => `${kind}/${name}`;
