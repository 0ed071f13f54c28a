import { DomainError } from '../../../domain/errors.js';
import type { Column } from '../../../domain/features.js';
import type { ProjectName, ResourceName } from '../../../domain/ids.js';
import { Joining } from '../../../domain/join-requests.js';
import type { Join } from '../../../domain/names.js';
import { openMessages } from '../../../lake/arrow-table.js';
import { quoteName } from '../../../lake/duckdb.js';
import type { Call } from '../call.js';
import type { OutgoingFrame } from '../feature.js';
import { ipcMessages } from '../incoming.js';
import { hold } from '../leases.js';
import type { FlightData } from '../protocol.js';
import { parseCommand } from './commands.js';
import type { JoinsDeps } from './deps.js';
import { exchanged } from './exchange.js';
import type { Historical } from './feast-commands.js';
import { columnsOf } from './joined.js';
import { joinReadable } from './kind.js';

/** `get_historical_features()`: the entity table comes along, or SQL says what it is. */
export async function* historicalFeatures(
  deps: JoinsDeps,
  command: Historical,
  messages: AsyncIterable<FlightData>,
  call: Call,
): AsyncGenerator<OutgoingFrame> {
  const { project } = call;
  const rows = await openMessages(ipcMessages(messages));
  const isPlaceholder = rows.columns.length === 1 && rows.columns[0]?.name === 'key';
  const { entity_df_sql: sql } = command;
  if (isPlaceholder && sql === undefined)
    throw new DomainError('spine_invalid', 'Features are joined to rows: pass entity_df, a DataFrame or SQL.');
  if (sql === undefined) {
    const kept = rows.columns.filter(({ name }) => !isIndex(name));
    const eventTime = eventTimeOf(kept);
    const joining = await joiningOf(deps, project, command, eventTime.name);
    yield* exchanged(deps, joining, rows, call, (relation) => entityRows(relation, rows.columns, eventTime));
    return;
  }
  for await (const _ of rows.batches); // The placeholder.
  const spine = await deps.statements.pin(sql, { project });
  const { setup, files, sql: pinned } = spine.plan();
  const columns = await columnsOf(deps, { setup, files, relation: `(${pinned}\n)` });
  const joining = await joiningOf(deps, project, command, eventTimeOf(columns).name);
  const { source, pins } = await joinReadable(deps, project, { ...joining, spine: { sql } });
  if (source.type !== 'plan') throw new DomainError('internal', 'A join is a plan.');
  const release = await hold(deps, pins);
  try {
    yield* deps.reader.read(source.plan, { signal: call.signal, compression: call.compression });
  } finally {
    await release();
  }
}

/** What pandas adds for an index that is no range. */
const isIndex = (name: string): boolean => /^__index_level_\d+__$/.test(name);

/** Without pandas' index, and with the instant in UTC, as Feast has it. */
function entityRows(relation: string, columns: readonly Column[], eventTime: Column): string {
  const indexes = columns.filter(({ name }) => isIndex(name)).map(({ name }) => quoteName(name));
  const at = quoteName(eventTime.name);
  const exclude = indexes.length === 0 ? '' : ` EXCLUDE (${indexes.join(', ')})`;
  const instant = eventTime.type === 'TIMESTAMP WITH TIME ZONE' ? at : `CAST(${at}::TIMESTAMP AS TIMESTAMP WITH TIME ZONE)`; // prettier-ignore
  return `(SELECT *${exclude} REPLACE (${instant} AS ${at}) FROM ${relation})`;
}

/** As Feast infers it. */
function eventTimeOf(columns: readonly Column[]): Column {
  const named = columns.find(({ name }) => name === 'event_timestamp');
  if (named) return named;
  const [only, ...others] = columns.filter(({ type }) => type.startsWith('TIMESTAMP'));
  if (only && others.length === 0) return only;
  throw new DomainError('spine_invalid', 'The entity table needs a column "event_timestamp", or exactly one of timestamps.'); // prettier-ignore
}

async function joiningOf(
  deps: JoinsDeps,
  project: ProjectName,
  { feature_view_names: names, name_aliases: aliases, feature_refs: features, full_feature_names: full }: Historical,
  eventTime: string,
): Promise<Joining> {
  const joins: Join[] = [];
  for (const [at, view] of names.entries()) {
    await deps.catalogue.view(project, view);
    const alias = aliases[at];
    if (alias != null && alias !== view) joins.push(await joinNamed(deps, project, alias, view));
  }
  return parseCommand(Joining, { features, joins, eventTime, naming: full ? 'full' : 'short', mode: 'feast' });
}

/** The client sends the other name of a view, and not by which columns it is joined: FeatureServices know that. */
async function joinNamed({ catalogue }: JoinsDeps, project: ProjectName, alias: string, view: string): Promise<Join> {
  const services = await catalogue.services(project);
  const declared = services.flatMap(({ spec }) => spec.joins).find((join) => join.name === alias && join.view === view);
  return declared ?? { name: alias as ResourceName, view: view as ResourceName, keys: {} };
}
