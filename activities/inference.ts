import type { CommitLog, CommittedLog } from '../domain/deployment.js';
import { logTable } from '../domain/deployment.js';
import { DomainError } from '../domain/errors.js';
import { windowsIn, type Column, type Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import type { Join } from '../domain/names.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { describe } from '../lake/sources/index.js';
import { writeFile } from '../lake/snapshots.js';
import { findTraffic } from '../store/deployment.js';
import { readInferenceLog, type LogPosition } from '../store/inference.js';
import { getVersion, listVersions } from '../store/models.js';
import { tableId, windowHeads, type WindowHead } from '../store/snapshots.js';
import { newestTombstone } from '../store/tombstones.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { leaveOutErased } from './erased-rows.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { modelOf } from './models.js';

export type InferenceDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake'>;

export const inferenceActivities = (dependencies: InferenceDependencies) => ({
  /** A window whose rows are those of its last commit is left alone: a repeat commits nothing. */
  commitInferenceLog: (input: CommitLog): Promise<CommittedLog> =>
    beating((signal) => commitLog(dependencies, input, signal)),
});

const windowMicros = durationMicros('1d');
const pageRows = 5_000;
const rowsMax = 5_000_000;
const epoch = '1970-01-01T00:00:00.000000Z' as Instant;

interface Log {
  readonly project: ProjectName;
  readonly endpoint: string;
  readonly model: string;
  /** The Model's, and so the log's: another one has other columns. */
  readonly revision: number;
  /** The serving version's input columns: what other versions called otherwise is NULL. */
  readonly inputs: readonly string[];
  readonly key: readonly string[];
  readonly eventTime: string;
  readonly joins: readonly Join[];
  readonly batches: readonly WindowHead[];
  /** The newest when nothing of the log was read yet. */
  readonly tombstones: number;
}

async function commitLog(
  dependencies: InferenceDependencies,
  input: CommitLog,
  signal: AbortSignal,
): Promise<CommittedLog> {
  const { db, engine } = dependencies;
  const { project, endpoint } = input;
  const windows = windowsIn(input, windowMicros);
  const log = await describeLog(dependencies, project, endpoint, input.end);
  return engine.session(async (session) => {
    await loadOnline(dependencies, session, log, input);
    const heads = new Map((await windowHeads(db, tableOf(log), input)).map((head) => [head.start, head]));
    const total = { table: logTable(endpoint), windows: windows.length, committed: 0, rows: 0 };
    for (const window of windows) {
      const rows = await commitDay(dependencies, session, log, window, heads.get(window.start), input.principal);
      if (rows !== null) total.committed += 1;
      total.rows += rows ?? 0;
    }
    return total;
  }, signal);
}

async function describeLog(
  { db }: InferenceDependencies,
  project: ProjectName,
  endpoint: string,
  end: Instant,
): Promise<Log> {
  const tombstones = await newestTombstone(db, project);
  const traffic = await findTraffic(db, project, endpoint);
  if (!traffic)
    throw new DomainError('endpoint_not_serving', `Endpoint "${endpoint}" serves nothing yet.`, { endpoint });
  const version = await getVersion(db, project, traffic.model, traffic.version);
  const { spec, revision } = await modelOf(db, project, version);
  const { signature } = version;
  const batches = await windowHeads(db, { project, schema: 'inference', name: endpoint }, { start: epoch, end });
  return {
    project,
    endpoint,
    model: traffic.model,
    revision,
    inputs: signature.inputs[0]?.columns ?? [],
    key: spec.spine.key,
    eventTime: spec.spine.eventTime,
    joins: spec.joins,
    batches,
    tombstones,
  };
}

const tableOf = ({ project, endpoint, revision }: Log) => ({
  ...{ project, schema: 'inference' as const, name: logTable(endpoint), revision },
});

const logColumns = ({ inputs }: Log): Column[] => [
  { name: 'event_time', type: 'TIMESTAMP' },
  { name: 'logged_at', type: 'TIMESTAMP' },
  { name: 'model_version', type: 'INTEGER' },
  { name: 'asked', type: 'VARCHAR' },
  { name: 'request_id', type: 'VARCHAR' },
  { name: 'key', type: 'VARCHAR' },
  ...inputs.map((name) => ({ name, type: 'FLOAT' })),
  { name: 'prediction', type: 'FLOAT' },
];

/** Online rows of the range, page by page, into the temporary table `online`. */
async function loadOnline({ db }: InferenceDependencies, session: Session, log: Log, range: Window): Promise<void> {
  const columns = logColumns(log);
  await session.run(
    `CREATE OR REPLACE TEMP TABLE online (${columns.map(({ name, type }) => `${quoteName(name)} ${type}`).join(', ')})`,
  );
  const { project, endpoint, inputs } = log;
  const versions = new Map(
    (await listVersions(db, project, log.model)).map((one) => [one.version, one.signature.inputs[0]?.columns ?? []]),
  );
  let after: LogPosition | undefined;
  for (let read = 0; read <= rowsMax; read += pageRows) {
    const page = await readInferenceLog(db, project, endpoint, range, pageRows, after);
    const rows = page.map((row) => {
      const named = new Map((versions.get(row.version) ?? inputs).map((name, at) => [name, row.inputs[at] ?? null]));
      const key = row.key === null ? null : JSON.stringify(row.key);
      return [
        row.eventTime.slice(0, -1),
        row.loggedAt.slice(0, -1),
        row.version,
        'online',
        `${row.requestId}/${row.rowIndex}`,
        key,
        ...inputs.map((name) => named.get(name) ?? null),
        row.output,
      ];
    });
    const cells = columns.map(({ type }, at) => `CAST(r ->> ${at} AS ${type})`).join(', ');
    await session.run(
      `INSERT INTO online SELECT ${cells} FROM (SELECT unnest(from_json($rows::JSON, '["JSON"]')) AS r)`,
      { rows: JSON.stringify(rows) },
    );
    after = page.at(-1);
    if (page.length < pageRows) return;
  }
  throw new DomainError(
    'request_too_large',
    `The range holds more than ${rowsMax} online rows; ask for a shorter one.`,
    { rowsMax },
  );
}

/** Rows of one day, online and in batch; null when there are none, or the same as were committed. */
async function commitDay(
  { db, lake }: InferenceDependencies,
  session: Session,
  log: Log,
  window: Window,
  head: WindowHead | undefined,
  principal: string,
): Promise<number | null> {
  const columns = logColumns(log);
  const within = (column: string) => `${column} >= ${timestamp(window.start)} AND ${column} < ${timestamp(window.end)}`;
  const parts = [`SELECT * FROM online WHERE ${within('event_time')}`];
  const batches = log.batches.filter(({ start, end }) => start < window.end && end > window.start);
  const files = batches.flatMap((batch) => batch.files);
  if (files.length > 0) {
    const rows = `read_parquet([${files.map((key) => quoteText(lake.path(key))).join(', ')}], union_by_name = true)`;
    const list = batchColumns(log, await describe(session, rows));
    parts.push(`SELECT ${list} FROM ${rows} WHERE ${within(quoteName(log.eventTime))}`);
  }
  const began = performance.now();
  const relation = 'log_day';
  await session.run(`CREATE OR REPLACE TEMP TABLE ${relation} AS ${parts.join(' UNION ALL ')}`);
  await leaveOutErased(db, session, log.project, relation, log.joins, 'json');
  const writer = {
    session,
    objects: lake,
    relation,
    columns,
    orderBy: ['event_time', 'asked', 'request_id', 'key'],
    folder: `${log.project}/inference/${logTable(log.endpoint)}`,
  };
  const { rowHash, ...file } = await writeFile(writer, '', window.start.slice(0, 10));
  // What is equal to the last commit is not committed again: here the rows are their own source.
  const sourceFingerprint = digestOf({ rowHash });
  if (head ? head.sourceFingerprint === sourceFingerprint : file.rows === 0) {
    await lake.remove(file.key);
    return null;
  }
  await commitStaged(db, lake, {
    table: tableOf(log),
    ...{
      columns,
      predecessor: head?.commit ?? null,
      sourceVersion: sourceFingerprint,
      tombstones: log.tombstones,
      workflowId: currentWorkflowId(),
      principal: { name: principal },
    },
    window: {
      ...window,
      files: [file],
      rows: file.rows,
      bytes: file.bytes,
      rowHash,
      sourceFingerprint,
      durationMs: performance.now() - began,
    },
    lineage: batches.map(({ revision }) => ({
      ...{ from: ['table', `inference/${log.endpoint}@r${revision}`], to: ['table', tableId(tableOf(log))] },
    })),
  });
  return file.rows;
}

/** What the day's predictions do not have, because another revision of the Model made them, is NULL. */
function batchColumns({ inputs, key, eventTime }: Log, there: readonly Column[]): string {
  const has = (name: string) => there.some((column) => column.name === name);
  const keys = key.map((name) => `${quoteText(name)}, ${quoteName(name)}`).join(', ');
  const values = inputs.map((name) => `${has(name) ? quoteName(name) : 'NULL'}::FLOAT AS ${quoteName(name)}`);
  return [
    `${quoteName(eventTime)} AS event_time`,
    'logged_at',
    'model_version',
    "'batch' AS asked",
    'NULL::VARCHAR AS request_id',
    `json_object(${keys})::VARCHAR AS key`,
    ...values,
    'prediction',
  ].join(', ');
}
