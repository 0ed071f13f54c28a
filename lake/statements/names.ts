import { isDomainError, DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import { tableSchemas, type PinnedTable, type TableReader, type TableSchema } from '../../domain/tables.js';
import type { Node } from './grammar.js';
import { momentOf } from './moments.js';
import type { NamedTable } from './views.js';

export interface Session {
  readonly project: ProjectName;
  /** Where a name without a schema is looked for first. */
  readonly schema?: TableSchema;
}

/** Where a name without a schema is looked for, too: never among copies of other tables' rows. */
const searched: readonly TableSchema[] = ['features', 'datasets'];

/** A table as the statement names it. */
interface Named {
  /** Null: wherever it is. */
  readonly schema: TableSchema | null;
  readonly name: string;
}

/** Pins what the statement names, each once, and calls it t1, t2 …; the second answer says how each node is called. */
export async function pinTables(
  tables: TableReader,
  nodes: readonly Node[],
  session: Session,
): Promise<{ pinned: NamedTable[]; names: string[] }> {
  const names = nodes.map((node) => namedBy(node, session));
  const keys = names.map(({ schema, name }) => JSON.stringify([schema, name]));
  const found = new Map<string, PinnedTable>();
  for (const [index, key] of keys.entries())
    if (!found.has(key)) found.set(key, await pin(tables, names[index] as Named, session));
  const pinned: NamedTable[] = [];
  const called = keys.map((key) => {
    const table = found.get(key) as PinnedTable;
    const known = pinned.find((one) => isSame(one.table, table));
    if (known) return known.as;
    const as = `t${pinned.length + 1}`;
    pinned.push({ table, as });
    return as;
  });
  return { pinned, names: called };
}

const isSame = (a: PinnedTable, b: PinnedTable): boolean =>
  a.schema === b.schema &&
  a.name === b.name &&
  a.revision === b.revision &&
  a.snapshot === b.snapshot &&
  a.raw === b.raw;

function namedBy(node: Node, { project }: Session): Named {
  const [catalog, schema, table] = ['catalog_name', 'schema_name', 'table_name'].map((field) => String(node[field]));
  const name = `${(table as string).replace(/^[^@:]+/, (base) => base.toLowerCase())}${momentOf(node)}`;
  // `PROJECT.TABLE` is how tools name a table of a catalog whose schema they left out.
  const onlyProject = catalog === '' && schema?.toLowerCase() === project;
  if (catalog !== '' && catalog?.toLowerCase() !== project)
    throw new DomainError('statement_refused', `It names the project ${catalog}; the session is in ${project}.`, { catalog, project }); // prettier-ignore
  if (schema === '' || onlyProject) return { schema: null, name };
  const known = tableSchemas.find((one) => one === schema?.toLowerCase());
  if (known === undefined)
    throw new DomainError('table_unknown', `There is no schema ${schema}; ${tableSchemas.join(', ')} can be read.`, { schema }); // prettier-ignore
  return { schema: known, name };
}

async function pin(tables: TableReader, { schema, name }: Named, session: Session): Promise<PinnedTable> {
  if (schema !== null) return tables.resolve(session.project, schema, name);
  if (session.schema !== undefined) {
    const there = await find(tables, session.project, session.schema, name);
    if (there) return there;
  }
  const candidates = await Promise.all(searched.map((one) => find(tables, session.project, one, name)));
  const [first, second] = candidates.filter((one) => one !== null);
  if (first && second)
    throw new DomainError('statement_invalid', `${name} is in ${first.schema} and in ${second.schema}: write ${first.schema}.${name} or ${second.schema}.${name}.`, { name }); // prettier-ignore
  if (first) return first;
  throw new DomainError('table_unknown', `There is no table ${name} in ${searched.join(' or ')}.`, { name });
}

/** Null: there is no table of the name. */
async function find(
  tables: TableReader,
  project: ProjectName,
  schema: TableSchema,
  name: string,
): Promise<PinnedTable | null> {
  try {
    return await tables.resolve(project, schema, name);
  } catch (error) {
    if (isDomainError(error) && error.code === 'table_unknown') return null;
    throw error;
  }
}
