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
      return [{ kind: 'Entity', name: resource.spec.entity }, ...resource.spec.sources.map(source)];
    case 'FeatureService':
      return viewsOf(resource.spec.features);
    case 'Model':
      return [source(resource.spec.spine.source), ...viewsOf(resource.spec.inputs)];
    case 'Endpoint':
      return [{ kind: 'Model', name: resource.spec.model }];
    case 'Monitor':
      return [{ kind: 'Endpoint', name: resource.spec.endpoint }];
  }
}

const source = (name: string): Reference => ({ kind: 'Source', name });

/** The views behind `view:feature` references, each once; plain columns are none. */
export const viewNames = (refs: readonly string[]): string[] => [
  ...new Set(refs.filter((ref) => ref.includes(':')).map((ref) => ref.slice(0, ref.indexOf(':')))),
];
const viewsOf = (refs: readonly string[]): Reference[] =>
  viewNames(refs).map((name) => ({ kind: 'FeatureView', name }));

export const referenceKey = ({ kind, name }: Reference): string => `${kind}/${name}`;
