import { DomainError, isDomainError } from '../domain/errors.js';
import {
  verdicts,
  type Candidate,
  type CandidateVerdict,
  type ExplainInput,
  type Explanation,
  type Origin,
  type ReachingSource,
} from '../domain/explanation.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { durationMicros, fromMicros, instant, plusMicros } from '../domain/instants.js';
import type { OnlineStatus, OnlineValue } from '../domain/online.js';
import { chooseRow, type CandidateRow } from '../lake/candidates.js';
import { missingWindows } from '../lake/coverage.js';
import { quoteText, typed, type Session } from '../lake/duckdb.js';
import { pinSource, sourceFiles, type Source } from '../lake/sources/index.js';
import { onlineView } from '../store/online.js';
import { commitAt, shownFiles, type FingerprintedCommit, type ShownFile } from '../store/provenance.js';
import { windowHeads } from '../store/snapshots.js';
import { tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import { onlineKey, onlineNow, pushBehind } from './explain-online.js';
import { resolveJoins } from './joins.js';
import { fingerprintsOf, loadView, pinSources, type ViewParts } from './views.js';

export type ExplainDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'access' | 'scratch'>;

export const explainActivities = (dependencies: ExplainDependencies) => ({
  /** Reads only. */
  explainValue: (input: ExplainInput): Promise<Explanation> =>
    dependencies.engine.session((session) => explain(dependencies, session, input)),
});

/** Answers by the point-in-time join itself, and then looks up where the row that won came from and why the others lost. */
async function explain(dependencies: ExplainDependencies, session: Session, input: ExplainInput): Promise<Explanation> {
  const { db, lake } = dependencies;
  const { project, view: name, revision, at } = input;
  const parts = await loadView(db, project, name, revision);
  const feature = featureOf(parts, input.feature);
  const snapshot = input.snapshot ?? (await tables(db).resolve(project, 'features', `${name}@r${revision}`)).snapshot;
  // What waits to be flushed belongs to the newest state, not to a snapshot that was asked for.
  const sequence = input.snapshot === undefined ? (await onlineView(db, project, name)).sequence : null;
  const literals = keyLiterals(parts, input.key);
  const { views } = await resolveJoins(
    dependencies,
    session,
    project,
    { features: [`${name}:${feature.name}`], joins: [] },
    { range: null, pins: { [name]: { revision, snapshot, sequence } } },
  );
  const [view] = views;
  if (!view) throw new DomainError('internal', 'The join has no view.');
  const files = await shownFiles(db, parts.table, snapshot);
  const chosen = await chooseRow(session, {
    ...{ view, columns: parts.columns, feature: feature.name, key: literals, at },
    files: files.map(({ key, lane }) => ({ path: lake.path(key), pushed: lane === 'pushes' })),
  });
  const byPath = new Map(files.map((file) => [lake.path(file.key), file]));
  const candidates = chosen.rows.map((row) => candidateOf(row, feature, byPath));
  const winner = candidates.find(({ verdict }) => verdict === 'won') ?? null;
  const commit = winner && (await commitAt(db, parts.table, { snapshot, lane: winner.lane, at: winner.eventTime }));
  const key = await onlineKey(session, parts, literals);
  const file = files.find((one) => one.key === winner?.file) ?? null;
  return {
    ...{ view: name, revision, definition: parts.view.hash, feature: feature.name, type: feature.type },
    ...{ key: input.key, at, snapshot, ...answerOf(parts, chosen.answer, feature, winner, at) },
    ...{ bitemporal: view.knownAt !== null, winner, origin: winner && commit && originOf(commit, winner, file) },
    missing: missingWindows(parts.view.spec, await headsUntil(dependencies, parts, at), justAt(at)),
    ...(await sourcesOf(dependencies, session, parts, winner?.lane === 'sources' ? commit : null)),
    others: candidates.filter(({ verdict }) => verdict !== 'won'),
    counts: countsOf(chosen.rows),
    push: await pushBehind(db, parts, key, winner),
    online: await onlineNow(db, project, name, key, feature.name),
  };
}

function featureOf({ view }: ViewParts, name: string): Column {
  const found = view.spec.features.find((one) => one.name === name);
  if (found) return found;
  const known = view.spec.features.map((one) => one.name);
  throw new DomainError(
    'reference_unknown',
    `View "${view.name}" has no feature ${name}; it has ${known.join(', ')}.`,
    {
      view: view.name,
      known,
    },
  );
}

/** The keys as SQL literals of their types, in the entity's order; exactly those that the entity has. */
function keyLiterals({ view, keys }: ViewParts, given: ExplainInput['key']): string[] {
  const strange = Object.keys(given).filter((name) => !keys.some((key) => key.name === name));
  const missing = keys.filter(({ name }) => given[name] === undefined);
  if (strange.length > 0 || missing.length > 0) {
    const wanted = keys.map(({ name }) => name).join(', ') || 'none';
    throw new DomainError(
      'request_invalid',
      `The keys of view "${view.name}" are ${wanted}; given: ${Object.keys(given).join(', ') || 'none'}.`,
      {
        keys: keys.map(({ name }) => name),
      },
    );
  }
  return keys.map(({ name, type }) => typed(quoteText(String(given[name])), type));
}

function candidateOf(row: CandidateRow, { type }: Column, files: ReadonlyMap<string, ShownFile>): Candidate {
  const file = row.file === null ? null : (files.get(row.file) ?? null);
  return {
    verdict: row.verdict,
    eventTime: fromMicros(row.eventMicros),
    knownAt: fromMicros(row.knownMicros),
    value: valueOf(row.value, type),
    lane: file?.lane ?? 'pushes',
    file: file?.key ?? null,
    row: row.row,
  };
}

/** As DuckDB's JSON has it: whole numbers beyond 32 bits and instants are text there. */
function valueOf(value: unknown, type: string): OnlineValue {
  if (value === null || value === undefined) return null;
  if (type.startsWith('TIMESTAMP')) return instant(String(value));
  if (type === 'BIGINT' && Number.isSafeInteger(Number(value))) return Number(value);
  return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
}

function answerOf(
  { view }: ViewParts,
  answer: unknown,
  feature: Column,
  winner: Candidate | null,
  at: Instant,
): Pick<Explanation, 'value' | 'status' | 'ttl'> {
  const declared = view.spec.ttl ?? null;
  const value = valueOf(answer, feature.type);
  if (!winner) return { value, status: 'NOT_FOUND', ttl: { declared, state: 'no value', until: null } };
  const until = declared === null ? null : plusMicros(winner.eventTime, durationMicros(declared));
  if (until !== null && until < at)
    return { value, status: 'OUTSIDE_MAX_AGE', ttl: { declared, state: 'OUTSIDE_MAX_AGE', until } };
  const status: OnlineStatus = value === null ? 'NULL_VALUE' : 'PRESENT';
  return { value, status, ttl: { declared, state: 'valid', until } };
}

const originOf = (
  { sourceFingerprint: _, ...commit }: FingerprintedCommit,
  { lane }: Candidate,
  file: ShownFile | null,
): Origin => ({
  ...commit,
  lane,
  file: file && { key: file.key, sha256: file.sha256, rows: file.rows },
});

const beginning = '0001-01-01T00:00:00.000000Z' as Instant;
const justAt = (at: Instant): Window => ({ start: at, end: plusMicros(at, 1) });
const headsUntil = ({ db }: ExplainDependencies, { table }: ViewParts, at: Instant) =>
  windowHeads(db, table, { start: beginning, end: plusMicros(at, 1) });

/** More files than this are not opened one by one. */
const filesMax = 200;

async function sourcesOf(
  dependencies: ExplainDependencies,
  session: Session,
  parts: ViewParts,
  commit: FingerprintedCommit | null,
): Promise<Pick<Explanation, 'sources' | 'sourcesState'>> {
  if (!commit) return { sources: [], sourcesState: null };
  const { start, end } = commit.window;
  const slice = { start: plusMicros(start, -durationMicros(parts.view.spec.lookback)), end };
  try {
    const sources: ReachingSource[] = [];
    for (const source of parts.sources) sources.push(await reaching(dependencies, session, source, slice));
    const pinned = await pinSources(session, parts, commit.window, dependencies.access);
    const [now] = await fingerprintsOf(session, parts, [commit.window], pinned);
    return { sources, sourcesState: now === commit.sourceFingerprint ? 'as committed' : 'changed since' };
  } catch (error) {
    // The value stands in the lake, whatever became of its sources.
    if (!isDomainError(error) || error.row.http === 500) throw error;
    return { sources: parts.sources.map((source) => outline(source, slice)), sourcesState: 'changed since' };
  }
}

const outline = ({ name, revision, spec }: Source, slice: Window): ReachingSource => ({
  ...{ name, revision, format: spec.format, slice, files: [], filesLeftOff: 0 },
  place: [spec.connection, spec.path, spec.table].filter(Boolean).join(' '),
});

/** Which of the source's files hold rows of the slice. Tables of databases and lakes are named whole. */
async function reaching(
  { access }: ExplainDependencies,
  session: Session,
  source: Source,
  slice: Window,
): Promise<ReachingSource> {
  const isLocal = ['parquet', 'csv', 'json'].includes(source.spec.format) && !source.spec.path?.startsWith('s3://');
  if (!isLocal) return outline(source, slice);
  const paths = await sourceFiles(source, access);
  const looked = paths.slice(0, filesMax);
  const counts: string[] = [];
  for (const path of looked) {
    const alone = await pinSource(session, { ...source, spec: { ...source.spec, path } }, access, slice);
    counts.push(`SELECT ${quoteText(path)} AS path, count(*)::DOUBLE AS rows FROM ${alone.relation(slice)}`);
  }
  const files = await session.rows<{ path: string; rows: number }>(
    `SELECT * FROM (${counts.join(' UNION ALL ')}) WHERE rows > 0 ORDER BY path`,
  );
  return { ...outline(source, slice), files, place: null, filesLeftOff: paths.length - looked.length };
}

function countsOf(rows: readonly CandidateRow[]): Explanation['counts'] {
  const counts = Object.fromEntries(verdicts.map((verdict) => [verdict, 0])) as Record<CandidateVerdict, number>;
  for (const { verdict, count } of rows) counts[verdict] = count;
  return counts;
}
