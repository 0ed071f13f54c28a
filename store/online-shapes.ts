import type { ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import type { OnlineShape } from '../domain/online.js';
import type { Revision } from '../domain/resources.js';
import type { Queries } from './db.js';
import { getPinned } from './resources.js';

/** What rows of this revision of a view mean. */
export async function shapeOf(db: Queries, project: ProjectName, view: Revision<'FeatureView'>): Promise<OnlineShape> {
  const { spec } = view;
  const entity = spec.entity === undefined ? null : await getPinned(db, project, view, 'Entity', spec.entity);
  return {
    keys: entity?.spec.keys ?? [],
    eventTime: spec.eventTime,
    knownAt: spec.knownAt ?? null,
    ttlMicros: spec.ttl === undefined ? null : durationMicros(spec.ttl),
    features: spec.features.map(({ name, type }) => ({ name, type })),
  };
}
