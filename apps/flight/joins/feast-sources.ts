import { DomainError } from '../../../domain/errors.js';
import type { ProjectName } from '../../../domain/ids.js';
import type { Revision } from '../../../domain/resources.js';
import type { TableRef } from '../../../domain/tables.js';
import { quoteName, quoteText, timestamp } from '../../../lake/duckdb.js';
import type { ReadPlan } from '../../../lake/read/plan.js';
import type { JoinsDeps } from './deps.js';
import type { Pull } from './feast-commands.js';
import { viewRelation } from './joined.js';

/** What Feast calls a data source is the rows of a view here: of its name, or of the one view that reads a Source of its name. */

export interface PlannedRows {
  readonly plan: ReadPlan;
  readonly pins: readonly TableRef[];
}

/** Rows between two instants, both included; of each key the latest, or all of them. */
export async function pulledRows(
  deps: JoinsDeps,
  project: ProjectName,
  pull: Pull,
  which: 'all' | 'latest',
): Promise<PlannedRows> {
  const { join_key_columns: keys, feature_name_columns: features, start_date: start, end_date: end } = pull;
  const view = await viewBehind(deps, project, pull.data_source_name, features);
  const { relation, files, pin, keys: own } = await viewRelation(deps, project, view);
  // Feast's name of a key that views without entity do not have.
  const wanted = keys.filter((key) => own.includes(key));
  const event = quoteName(view.spec.eventTime);
  const known = view.spec.knownAt === undefined ? event : `coalesce(${quoteName(view.spec.knownAt)}, ${event})`;
  const instant = (value: string, name: string) => `CAST(${value} AS TIMESTAMP WITH TIME ZONE) AS ${quoteName(name)}`;
  const columns = [
    ...[...wanted, ...features].map(quoteName),
    instant(event, pull.timestamp_field),
    ...(pull.created_timestamp_column ? [instant(known, pull.created_timestamp_column)] : []),
  ];
  const within = [
    ...(start ? [`${event} >= ${timestamp(start)}`] : []),
    ...(end ? [`${event} <= ${timestamp(end)}`] : []),
  ];
  const where = within.length === 0 ? '' : ` WHERE ${within.join(' AND ')}`;
  const partition = wanted.length === 0 ? '' : `PARTITION BY ${wanted.map(quoteName).join(', ')} `;
  const last =
    which === 'all' ? '' : ` QUALIFY row_number() OVER (${partition}ORDER BY ${event} DESC, ${known} DESC) = 1`;
  const plan = { setup: [], files, rows: null, sql: `SELECT ${columns.join(', ')} FROM ${relation}${where}${last}` };
  return { plan, pins: [pin] };
}

/** Names and types of a source's columns, as rows. */
export async function sourceColumns(deps: JoinsDeps, project: ProjectName, source: string): Promise<PlannedRows> {
  const view = await viewBehind(deps, project, source, []);
  const { columns, pin } = await viewRelation(deps, project, view);
  const values = columns.map(({ name, type }) => `(${quoteText(name)}, ${quoteText(type)})`).join(', ');
  const sql = `SELECT * FROM (VALUES ${values}) AS columns("name", "type")`;
  return { plan: { setup: [], files: [], rows: columns.length, sql }, pins: [pin] };
}

/** Throws `resource_unknown` when nothing has the name, `join_invalid` when more than one view fits. */
export async function viewBehind(
  { catalogue }: JoinsDeps,
  project: ProjectName,
  source: string,
  columns: readonly string[],
): Promise<Revision<'FeatureView'>> {
  const views = await catalogue.views(project);
  const named = views.find(({ name }) => name === source);
  if (named) return named;
  const has = ({ spec }: Revision<'FeatureView'>) =>
    columns.every((column) => spec.features.some(({ name }) => name === column));
  const reading = views.filter((view) => view.spec.sources.some((name) => name === source) && has(view));
  if (reading.length === 1) return reading[0] as Revision<'FeatureView'>;
  if (reading.length === 0)
    throw new DomainError('resource_unknown', `Project "${project}" has neither a FeatureView nor a Source "${source}" that one reads.`, { kind: 'Source', name: source }); // prettier-ignore
  throw new DomainError('join_invalid', `The views ${reading.map(({ name }) => name).join(', ')} read "${source}". Name the data source like one of them.`); // prettier-ignore
}

export function sourceNamed({ data_source_proto: text }: { readonly data_source_proto: string }): string {
  try {
    const { name } = JSON.parse(text) as { name?: unknown };
    if (typeof name === 'string') return name;
  } catch {
    // It is not what Feast's client sends.
  }
  throw new DomainError('request_invalid', 'data_source_proto is not the JSON of a data source with a name.');
}
