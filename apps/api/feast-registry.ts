import { Inject, Injectable } from '@nestjs/common';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import type { Join } from '../../domain/names.js';
import type { Revision } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { listResources } from '../../store/resources.js';
import { mistake } from './feast-errors.js';
import { DATABASE } from './tokens.js';

/** What a project declares, as Feast's server looks at its registry: by name, and a second old at most. */
export interface Declared {
  readonly project: ProjectName;
  readonly views: ReadonlyMap<string, Revision<'FeatureView'>>;
  readonly services: ReadonlyMap<string, Revision<'FeatureService'>>;
  readonly entities: ReadonlyMap<string, Revision<'Entity'>>;
}

const freshMs = 1_000;
const projectsMax = 1_000;

@Injectable()
export class FeastRegistry {
  private readonly known = new Map<ProjectName, { until: number; declared: Promise<Declared> }>();

  constructor(@Inject(DATABASE) private readonly db: Database) {}

  async of(project: ProjectName): Promise<Declared> {
    const found = this.known.get(project);
    if (found && found.until > performance.now()) return found.declared;
    if (this.known.size >= projectsMax) this.known.clear();
    const declared = this.read(project);
    this.known.set(project, { until: performance.now() + freshMs, declared });
    // Who comes next shall not be told of a failure that is over.
    declared.catch(() => this.known.delete(project));
    return declared;
  }

  /** As `of`, without anything that is old: for what changes the store. */
  async now(project: ProjectName): Promise<Declared> {
    this.known.delete(project);
    return this.of(project);
  }

  private async read(project: ProjectName): Promise<Declared> {
    const [views, services, entities] = await Promise.all([
      listResources(this.db, project, 'FeatureView'),
      listResources(this.db, project, 'FeatureService'),
      listResources(this.db, project, 'Entity'),
    ]);
    const byName = <Kind extends 'FeatureView' | 'FeatureService' | 'Entity'>(rows: readonly Revision[]) =>
      new Map(rows.map((row) => [row.name, row as Revision<Kind>]));
    return { project, views: byName(views), services: byName(services), entities: byName(entities) };
  }
}

/** What a request reads: references without versions, and under which names views are joined. */
export interface Selection {
  readonly refs: readonly string[];
  readonly joins: readonly Join[];
}

interface Asked {
  readonly features: readonly string[];
  readonly feature_service?: string | null;
  readonly full_feature_names: boolean;
}

/** The features that are asked for, each known, and no two of one name; throws what Feast throws otherwise. */
export function selectionOf(declared: Declared, asked: Asked): Selection {
  const selection = asked.feature_service
    ? ofService(declared, asked.feature_service)
    : { refs: asked.features.map(refOf), joins: [] };
  if (selection.refs.length === 0) throw mistake('No features specified for retrieval');
  const named = selection.refs.map((ref) => ({ ref, ...partsOf(ref) }));
  for (const { name } of named) viewOf(declared, selection, name);
  requireDistinct(selection.refs, asked.full_feature_names);
  for (const { name, feature } of named) {
    const { spec } = viewOf(declared, selection, name);
    if (!spec.features.some((one) => one.name === feature))
      throw mistake(`Feature ${feature} not found in projection ${name}`);
  }
  return selection;
}

function ofService({ services, project }: Declared, name: string): Selection {
  const service = services.get(name);
  if (!service) throw unknown('FeatureService', name, project);
  return { refs: service.spec.features, joins: service.spec.joins };
}

export function viewOf({ views, project }: Declared, { joins }: Selection, name: string): Revision<'FeatureView'> {
  const view = views.get(joins.find((join) => join.name === name)?.view ?? name);
  if (!view) throw unknown('FeatureView', name, project);
  return view;
}

export const unknown = (kind: 'FeatureView' | 'FeatureService', name: string, project: ProjectName): DomainError =>
  new DomainError('resource_unknown', `There is no ${kind} "${name}" in project "${project}".`, {
    kind,
    name,
    project,
  });

export function partsOf(ref: string): { name: string; feature: string } {
  const [name, feature] = ref.split(':') as [string, string];
  return { name, feature };
}

/** `view@latest:feature` is `view:feature`; other versions are not read online. */
function refOf(text: string): string {
  const match = /^([^:@]+)(?:@([^:]*))?:(.+)$/.exec(text);
  if (!match)
    throw mistake(
      `Invalid feature reference '${text}'. Expected format: '<feature_view>:<feature>' or '<feature_view>@<version>:<feature>'`,
    );
  const [, name, version = '', feature] = match;
  if (version !== '' && version.toLowerCase() !== 'latest')
    throw mistake(
      `Version-qualified ref '${name}@${version}' not supported: online values are those of the active revision.`,
    );
  return `${name}:${feature}`;
}

/** Feast's sentences: the client shows them as its own. */
function requireDistinct(refs: readonly string[], full: boolean): void {
  const names = refs.map((ref) => (full ? ref.replace(':', '__') : partsOf(ref).feature));
  const twice = [...new Set(names.filter((name, at) => names.indexOf(name) < at))];
  if (twice.length === 0) return;
  const advice = full
    ? "To resolve this collision, please ensure that the feature views or their own features have different names. If you're intentionally joining the same feature view twice on different sets of entities, please rename one of the feature views with '.with_name'."
    : "To resolve this collision, either use the full feature name by setting 'full_feature_names=True', or ensure that the features in question have different names.";
  throw new DomainError('feature_names_collide', `Duplicate features named ${twice.join(', ')} found.\n${advice}`, {
    names: twice,
  });
}
