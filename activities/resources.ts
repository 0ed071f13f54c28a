import type { CheckResources, Problem } from '../domain/check.js';
import type { Column } from '../domain/features.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { durationMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import { joinedViews, referenceKey, referencesOf } from '../domain/references.js';
import type { Kind, Resource, Revision } from '../domain/resources.js';
import { inputColumn } from '../domain/resources.js';
import { quoteName, type Session } from '../lake/duckdb.js';
import { describeSource, knownAtColumn, pinSource } from '../lake/sources/index.js';
import { checkSelect, describeSelect, requireColumns, type NamedRelation } from '../lake/sql.js';
import { loadTrainer, trainerParameters } from '../programs/trainer.js';
import { listResources } from '../store/resources.js';
import type { Dependencies } from './dependencies.js';
import { checkExpectations } from './expectations.js';
import { viewColumns } from './views.js';

export type ResourceDependencies = Pick<Dependencies, 'db' | 'engine' | 'access' | 'trainers'>;

export const resourceActivities = (dependencies: ResourceDependencies) => ({
  /** Reads only: tries sources and SQL as they would be run, and returns what is wrong with them or with what refers to them. */
  checkResources: async ({ project, resources }: CheckResources): Promise<Problem[]> => {
    const active = await listResources(dependencies.db, project);
    const known = new Map<string, Declared>(active.map((one) => [`${one.kind}/${one.name}`, one]));
    for (const one of resources) known.set(`${one.kind}/${one.name}`, one);
    const find: Find = (kind, name) => {
      const found = known.get(`${kind}/${name}`);
      if (found) return found as Extract<Resource, { kind: typeof kind }>;
      throw new DomainError('reference_unknown', `There is no ${kind} "${name}".`, { kind, name });
    };
    return dependencies.engine.session(async (session) => {
      const problems: Problem[] = [];
      for (const resource of [...resources, ...referrersOf(resources, active)]) {
        const problem = await check(dependencies, session, resource, find);
        if (problem) problems.push(problem);
      }
      return problems;
    });
  },
});

type Declared = Resource | Revision;

/** What is active, refers to what would change (be it by way of others), and so may break without being changed itself. */
function referrersOf(resources: readonly Resource[], active: readonly Revision[]): Resource[] {
  const given = new Set(resources.map(referenceKey));
  const hashes = new Map(active.map((one) => [referenceKey(one), digestOf(one.spec)]));
  const changed = resources.filter((one) => hashes.has(referenceKey(one)) && hashes.get(referenceKey(one)) !== digestOf(one.spec)); // prettier-ignore
  const reached = new Set(changed.map(referenceKey));
  const others = (active as readonly unknown[] as readonly Resource[]).filter((one) => !given.has(referenceKey(one)));
  const found = new Set<Resource>();
  for (let before = -1; before < reached.size;) {
    before = reached.size;
    for (const one of others)
      if (referencesOf(one).some((reference) => reached.has(referenceKey(reference)))) {
        found.add(one);
        reached.add(referenceKey(one));
      }
    // What is given and refers to what changed is checked as it is; what refers to that may break as well.
    for (const one of resources)
      if (referencesOf(one).some((reference) => reached.has(referenceKey(reference)))) reached.add(referenceKey(one));
  }
  return [...found];
}
type Find = <K extends Kind>(kind: K, name: string) => Extract<Resource, { kind: K }>;

async function check(
  dependencies: ResourceDependencies,
  session: Session,
  resource: Resource,
  find: Find,
): Promise<Problem | null> {
  let field = 'spec';
  try {
    switch (resource.kind) {
      case 'Source':
        field = 'spec.path';
        await checkSource(dependencies, session, resource);
        field = 'spec.knownAt';
        await checkKnownAt(dependencies, session, resource);
        break;
      case 'FeatureView':
        field = 'spec.sql';
        await checkView(dependencies, session, resource, find);
        break;
      case 'Model':
        field = 'spec.spine.sql';
        await checkModel(dependencies, session, resource, find);
        break;
      case 'FeatureService':
        field = 'spec.features';
        checkService(resource, find);
        break;
      case 'Entity':
      case 'Endpoint':
      case 'Monitor':
        break;
    }
    return null;
  } catch (error) {
    if (!isDomainError(error)) throw error;
    const { kind, name } = resource;
    return { kind, name, field, code: error.code, detail: error.message };
  }
}

type Named<K extends Kind> = Extract<Resource, { kind: K }>;

/** A resource that is about to be applied has no revision yet; what reads sources needs only name, hash and spec. */
const asRevision = <K extends Kind>(resource: Named<K>): Revision<K> =>
  ({ revision: 0, hash: '', createdAt: '', principal: '', ...resource }) as unknown as Revision<K>;

/** Only its columns: nothing is copied of what must be copied to be read. */
async function relationOf(
  { access }: ResourceDependencies,
  session: Session,
  source: Named<'Source'>,
): Promise<NamedRelation> {
  const pinned = await pinSource(session, asRevision(source), access, 'nothing');
  return { name: source.name, relation: pinned.relation() };
}

async function checkSource({ access }: ResourceDependencies, session: Session, source: Named<'Source'>): Promise<void> {
  // The known-at is not the file's: it is tried after this.
  const revision = asRevision({ ...source, spec: { ...source.spec, knownAt: 'NULL' } });
  const columns = await describeSource(session, revision, access);
  const { eventTime } = source.spec;
  const own = columns.filter((column) => column.name !== knownAtColumn);
  if (!own.some((column) => column.name === eventTime))
    throw new DomainError(
      'resource_invalid',
      `The source has no column "${eventTime}", the event time; it has ${own.map((column) => column.name).join(', ')}.`,
      { columns: own },
    );
  requireTimestamp(own, eventTime, 'event time');
}

async function checkKnownAt(
  dependencies: ResourceDependencies,
  session: Session,
  source: Named<'Source'>,
): Promise<void> {
  const { knownAt } = source.spec;
  if (knownAt === undefined) return;
  await checkSelect(session, `SELECT (${knownAt}\n) FROM ${quoteName(source.name)}`, [source.name]);
  const { name, relation } = await relationOf(dependencies, session, source);
  const columns = await describeSelect(session, `SELECT ${knownAtColumn} FROM ${quoteName(name)}`, [
    { name, relation },
  ]);
  requireTimestamp(columns, knownAtColumn, 'known-at');
}

function requireTimestamp(columns: readonly Column[], name: string, purpose: string): void {
  const column = columns.find((one) => one.name === name);
  if (!column?.type.startsWith('TIMESTAMP'))
    throw new DomainError(
      'sql_invalid',
      `The ${purpose} "${name}" must be a timestamp; it is ${column?.type ?? 'missing'}.`,
      {
        columns,
      },
    );
}

async function checkView(
  dependencies: ResourceDependencies,
  session: Session,
  { spec }: Named<'FeatureView'>,
  find: Find,
): Promise<void> {
  durationMicros(spec.lookback);
  await checkSelect(session, spec.sql, spec.sources);
  const sources = await Promise.all(
    spec.sources.map((name) => relationOf(dependencies, session, find('Source', name))),
  );
  const columns = await describeSelect(session, spec.sql, sources);
  const keys = keysOf(spec, find);
  const purposes = new Map([
    [spec.eventTime, 'the event time'],
    ...keys.map((key) => [key.name, 'the key'] as const),
    ...(spec.knownAt ? [[spec.knownAt, 'the known-at'] as const] : []),
  ]);
  requireColumns(
    columns,
    viewColumns(spec, keys).map(({ name }) => ({ name, purpose: purposes.get(name) ?? 'the feature' })),
  );
  const names = viewColumns(spec, keys).map(({ name }) => name);
  const twice = names.filter((name, at) => names.indexOf(name) !== at);
  if (twice.length > 0)
    throw new DomainError('resource_invalid', `${twice.join(', ')} is more than one of key, event time, known-at and feature.`, { twice }); // prettier-ignore
  await checkExpectations(session, spec, viewColumns(spec, keys));
}

const keysOf = (spec: Named<'FeatureView'>['spec'], find: Find): readonly Column[] =>
  spec.entity === undefined ? [] : find('Entity', spec.entity).spec.keys;

/** A view that changes may not drop what a service selects of it. */
function checkService({ spec }: Named<'FeatureService'>, find: Find): void {
  for (const { view, features, keys } of joinedViews(spec.features, spec.joins)) {
    const { spec: declared } = find('FeatureView', view);
    requireFeatures(view, declared, features);
    requireColumns(
      keysOf(declared, find),
      Object.keys(keys).map((name) => ({ name, purpose: `the key of ${view}` })),
    );
  }
}

const requireFeatures = (view: string, declared: Named<'FeatureView'>['spec'], wanted: readonly string[]): void =>
  requireColumns(
    declared.features.map(({ name, type }) => ({ name, type })),
    wanted.map((name) => ({ name, purpose: `the feature of ${view}` })),
  );

async function checkModel(
  dependencies: ResourceDependencies,
  session: Session,
  { spec }: Named<'Model'>,
  find: Find,
): Promise<void> {
  const { spine, inputs, joins, slices, trainer } = spec;
  await checkSelect(session, spine.sql, [spine.source]);
  const columns = await describeSelect(session, spine.sql, [
    await relationOf(dependencies, session, find('Source', spine.source)),
  ]);
  const plain = inputs.filter((input) => !input.includes(':')).map((name) => ({ name, purpose: 'the input' }));
  const own = [
    ...spine.key.map((name) => ({ name, purpose: 'the key' })),
    { name: spine.eventTime, purpose: 'the event time' },
    { name: spine.knownAt, purpose: 'the known-at' },
    { name: spine.label, purpose: 'the label' },
    ...slices.map((name) => ({ name, purpose: 'the slice' })),
  ];
  requireColumns(columns, [...own, ...plain]);
  for (const join of joinedViews(inputs, joins)) {
    const { view, features } = join;
    const { spec: declared } = find('FeatureView', view);
    requireFeatures(view, declared, features);
    requireColumns(
      columns,
      keysOf(declared, find).map(({ name }) => ({ name: join.keys[name] ?? name, purpose: `the key of ${view}` })),
    );
    for (const input of features.map((name) => inputColumn(`${join.name}:${name}`)))
      if (columns.some((column) => column.name === input))
        requireColumns([], [{ name: input, purpose: 'a name of its own for' }]);
  }
  trainerParameters(await loadTrainer(dependencies.trainers.folder, trainer.name), trainer.parameters);
}
