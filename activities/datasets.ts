import {
  rowsOf,
  type BuildDataset,
  type BuiltDataset,
  type DatasetManifest,
  type DatasetSpec,
} from '../domain/datasets.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { toMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import { inputColumn, type Revision } from '../domain/resources.js';
import { splitColumn, timeParts, wholePart, type Split, type TimePart } from '../domain/splits.js';
import type { ColumnStatistics } from '../domain/statistics.js';
import { trainingSetSpec, type BuildTrainingSet } from '../domain/training.js';
import { quoteName, quoteText, type Session } from '../lake/duckdb.js';
import { fileParts, partDigests } from '../lake/file-parts.js';
import { writeFile } from '../lake/snapshots.js';
import { splitExpression } from '../lake/splits.js';
import { windowStatistics } from '../lake/statistics.js';
import { findTrainingSet, recordTrainingSet, type FileParts } from '../store/datasets.js';
import { getResource } from '../store/resources.js';
import { newestTombstone } from '../store/tombstones.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { joinSpine, rowNumber, stageJoined, untilStill, type JoinedSpine } from './spine.js';

export type DatasetDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'access' | 'scratch'>;

export const datasetActivities = (dependencies: DatasetDependencies) => ({
  /** The recorded training set of this name, or a new one, committed once. Another one of this name is an error. */
  buildDataset: (input: BuildDataset): Promise<BuiltDataset> =>
    beating((signal) => build(dependencies, { ...input, model: null }, signal)),

  /** The recorded training set of this model, revision and as-of instant, or a new one, committed once. */
  buildTrainingSet: ({ project, model: name, revision, asOf, principal }: BuildTrainingSet): Promise<BuiltDataset> =>
    beating(async (signal) => {
      const model = await getResource(dependencies.db, project, 'Model', name, revision);
      return build(dependencies, { project, principal, spec: trainingSetSpec(model, asOf), model }, signal);
    }),
});

interface Asked extends BuildDataset {
  /** Whose training set it is: then it must be one that a trainer can use. */
  readonly model: Revision<'Model'> | null;
}

async function build(dependencies: DatasetDependencies, asked: Asked, signal: AbortSignal): Promise<BuiltDataset> {
  const { db, engine, lake } = dependencies;
  const { project, spec, principal } = asked;
  const { name } = spec;
  const recorded = await findTrainingSet(db, project, name);
  if (recorded) return summary(requireSame(recorded, spec));
  return engine.session(async (session) => {
    const began = performance.now();
    const tombstones = await newestTombstone(db, project);
    const { manifest, file, parts, sourceVersion } = await untilStill(() => writeRows(dependencies, session, asked));
    const { rows, bytes, rowHash } = file;
    await commitStaged(db, lake, {
      table: { project, schema: 'datasets', name, revision: 1 },
      window: {
        ...{ ...manifest.window, files: [file], rows, bytes, rowHash },
        ...{ sourceFingerprint: rowHash, durationMs: performance.now() - began },
      },
      ...{ columns: manifest.columns, predecessor: null, sourceVersion, tombstones },
      workflowId: currentWorkflowId(),
      principal: { name: principal },
      also: (tx) => recordTrainingSet(tx, project, manifest, parts, { name: principal }),
    }).catch((error: unknown) => {
      if (!isDomainError(error) || error.code !== 'generation_moved') throw error;
      // Somebody built the same set from a newer source meanwhile; theirs is the recorded one.
    });
    return summary(requireSame((await findTrainingSet(db, project, name)) ?? manifest, spec));
  }, signal);
}

const summary = (manifest: DatasetManifest): BuiltDataset => ({
  name: manifest.name,
  rowHash: manifest.rowHash,
  rows: rowsOf(manifest),
});

function requireSame(recorded: DatasetManifest, spec: DatasetSpec): DatasetManifest {
  if (recorded.specHash === digestOf(spec)) return recorded;
  throw new DomainError('dataset_exists', `The training set "${spec.name}" was built of another declaration.`, {
    name: spec.name,
  });
}

/** Stages the set's file and says what it holds. A set that nobody could use leaves nothing behind. */
async function writeRows(dependencies: DatasetDependencies, session: Session, { project, spec, model }: Asked) {
  const { lake } = dependencies;
  const joined = await joinSpine(dependencies, session, project, spec);
  const { relation, columns, cuts } = divide(joined, spec);
  if (model) requireInputs(model.spec.inputs, columns);
  const writer = {
    ...{ session, objects: lake, relation, columns, folder: `${project}/datasets/${spec.name}` },
    // By time and key when it says so: the order in which a trainer sees the rows is part of the training set.
    orderBy: [...(spec.order === 'time' ? [spec.eventTime, ...(spec.key ?? [])] : []), rowNumber],
    prefix: joined.spine.length,
  };
  const { file } = await stageJoined(dependencies, joined, async () => ({ file: await writeFile(writer, '', 'rows') }));
  try {
    const path = lake.path(file.key);
    const counts = await countParts(session, path, spec, columns);
    requireUsable(counts, model !== null);
    const parts: FileParts = { sha256: file.sha256, digests: await partDigests(path, await fileParts(session, path)) };
    const manifest = await manifestOf(session, { spec, model, joined, columns, cuts, file, counts, path });
    return { manifest, file, parts, sourceVersion: digestOf(joined.sources.map(({ version }) => version)) };
  } catch (error) {
    await lake.remove(file.key);
    throw error;
  }
}

/** The joined rows with the part that each belongs to, when the set is divided. */
export function divide(
  { numbered, columns, spine, range }: JoinedSpine,
  { split, eventTime, asOf, key, label }: DatasetSpec,
  pinned?: readonly TimePart[],
): { relation: string; columns: readonly Column[]; cuts: readonly TimePart[] } {
  if (split === undefined) return { relation: numbered, columns, cuts: [] };
  const end = asOf ?? range?.end ?? null;
  const cuts = split.by !== 'time' || end === null ? [] : (pinned ?? timeParts(split, end));
  const names =
    split.by === 'time' ? [] : split.by === 'group' ? split.columns : randomKey(split, { key, label }, spine);
  const by = names.map((name) => spine.find((column) => column.name === name) ?? { name, type: 'VARCHAR' });
  const expression = splitExpression({ split, eventTime, cuts, by });
  return {
    relation: `(SELECT *, ${expression} AS ${splitColumn} FROM ${numbered})`,
    columns: [...columns, { name: splitColumn, type: 'VARCHAR' }],
    cuts,
  };
}

/** The columns that a split at random goes by. */
const randomKey = (
  split: Extract<Split, { by: 'random' }>,
  { key, label }: Pick<DatasetSpec, 'key' | 'label'>,
  spine: readonly Column[],
): string[] => split.key ?? key ?? spine.map(({ name }) => name).filter((name) => name !== label?.column);

/** With the columns that it goes by: the set's own rows, which are another set's spine, have more columns than its spine had. */
const resolvedSplit = (spec: DatasetSpec, spine: readonly Column[]): Pick<DatasetSpec, 'split'> =>
  spec.split?.by === 'random' ? { split: { ...spec.split, key: randomKey(spec.split, spec, spine) } } : {};

interface Written {
  readonly spec: DatasetSpec;
  readonly model: Revision<'Model'> | null;
  readonly joined: JoinedSpine;
  readonly columns: readonly Column[];
  readonly cuts: readonly TimePart[];
  readonly file: { readonly rowHash: string; readonly prefixHash: string | null; readonly sha256: string };
  readonly counts: Counts;
  readonly path: string;
}

async function manifestOf(session: Session, written: Written): Promise<DatasetManifest> {
  const { spec, model, joined, columns, cuts, file, counts, path } = written;
  const { features, joins, sources, tables, views, labels } = joined;
  const { service: _service, ...own } = spec;
  const plain = columns.map(({ name }) => name).filter((name) => name !== splitColumn && name !== spec.label?.column);
  return {
    ...{
      name: spec.name,
      spec: { ...own, ...resolvedSplit(own, joined.spine), features: [...features], joins: [...joins] },
      specHash: digestOf(spec),
    },
    ...{ model: model?.name ?? null, modelRevision: model?.revision ?? null, asOf: spec.asOf ?? null },
    window: spec.window ?? joined.range ?? always,
    sources: sources.map(({ source, version }) => ({ name: source.name, revision: source.revision, version })),
    ...{ cuts, tables, views, labels, columns, ...counts },
    inputs: model ? model.spec.inputs.map(inputColumn) : plain,
    ...{ label: spec.label?.column ?? null, key: spec.key ?? [] },
    ...({ rowHash: file.rowHash, spineHash: file.prefixHash, sha256: file.sha256 } as Pick<
      DatasetManifest,
      'rowHash' | 'spineHash' | 'sha256'
    >),
    statistics: await statisticsOf(session, path, columns),
    engine: await engineVersion(session),
    relabels: spec.spine.from === 'dataset' && features.length === 0 ? spec.spine.dataset : null,
  };
}

/** The window of rows without an instant. */
const always: Window = {
  start: '0001-01-01T00:00:00.000000Z' as Instant,
  end: '9999-12-31T00:00:00.000000Z' as Instant,
};

/** Types of which statistics can be counted. */
const countable =
  /^(BOOLEAN|VARCHAR|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)|DATE|TIMESTAMP.*)$/;
const wholeSet: Window = {
  start: '1970-01-01T00:00:00.000000Z' as Instant,
  end: '1970-01-02T00:00:00.000000Z' as Instant,
};

/** The set is one window: all of its rows are counted together. */
async function statisticsOf(session: Session, path: string, columns: readonly Column[]): Promise<ColumnStatistics[]> {
  const relation = `(SELECT *, TIMESTAMP '1970-01-01' AS "#window" FROM read_parquet(${quoteText(path)}))`;
  const slices = { relation, eventTime: '#window', windows: [wholeSet], windowMicros: toMicros(wholeSet.end) };
  const counted = columns.filter(({ type }) => countable.test(type));
  return (await windowStatistics(session, slices, counted)).get(wholeSet.start) ?? [];
}

function requireInputs(inputs: readonly string[], columns: readonly Column[]): void {
  const names = columns.map(({ name }) => name);
  const missing = inputs.map(inputColumn).filter((input) => !names.includes(input));
  if (missing.length === 0) return;
  const message = `The spine yields no column ${missing.join(', ')}; it yields ${names.join(', ')}.`;
  throw new DomainError('sql_invalid', message, { missing, columns: names });
}

type Counts = Pick<DatasetManifest, 'rows' | 'positives'>;

async function countParts(
  session: Session,
  path: string,
  { split, label }: DatasetSpec,
  columns: readonly Column[],
): Promise<Counts> {
  const isBoolean = columns.some(({ name, type }) => name === label?.column && type === 'BOOLEAN');
  const positive = isBoolean ? `count(*) FILTER (${quoteName(label?.column ?? '')})` : '0';
  const rows = await session.rows<{ part: string; rows: number; positives: number }>(
    `SELECT ${split ? splitColumn : quoteText(wholePart)} AS part, count(*)::DOUBLE AS rows, ${positive}::DOUBLE AS positives
     FROM read_parquet(${quoteText(path)}) GROUP BY 1 ORDER BY 1`,
  );
  return {
    rows: Object.fromEntries(rows.map((row) => [row.part, row.rows])),
    positives: isBoolean ? Object.fromEntries(rows.map((row) => [row.part, row.positives])) : {},
  };
}

function requireUsable({ rows, positives }: Counts, forTraining: boolean): void {
  if (!forTraining) {
    if (Object.keys(rows).length > 0) return;
    throw new DomainError('training_set_empty', 'The spine has no rows.');
  }
  for (const split of ['train', 'test']) {
    const [count = 0, positive = 0] = [rows[split], positives[split]];
    if (count === 0)
      throw new DomainError('training_set_empty', `The ${split} split has no row with a known label.`, { split });
    if (positive === 0 || positive === count)
      throw new DomainError('training_set_one_class', `All ${count} labels of the ${split} split are equal.`, {
        split,
      });
  }
}

async function engineVersion(session: Session): Promise<string> {
  const [row] = await session.rows<{ version: string }>('SELECT version() AS version');
  return `duckdb ${row?.version ?? 'unknown'}`;
}
