import type { ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import type { OnlineShape } from '../domain/online.js';
import type { Revision } from '../domain/resources.js';
import type { Queries } from './db.js';
import { getResource } from './resources.js';

/** What rows of this revision of a view mean. */
export async function shapeOf(
  db: Queries,
  project: ProjectName,
  { spec }: Revision<'FeatureView'>,
): Promise<OnlineShape> {
  const entity = spec.entity === undefined ? null : await getResource(db, project, 'Entity', spec.entity);
  return {
    keys: entity?.spec.keys ?? [],
    eventTime: spec.eventTime,
    knownAt: spec.knownAt ?? null,
    ttlMicros: spec.ttl === undefined ? null : durationMicros(spec.ttl),
    features: spec.features.map(({ name, type }) => ({ name, type })),
  };
}
