import type { Node } from './grammar.js';

/** What names mean at a place of a statement. */
export interface Scope {
  /** The WITHs that can be read, in lower case, and what they are called instead. */
  readonly ctes: ReadonlyMap<string, string>;
  /** The WITH whose query this is: a recursive one may read itself. */
  readonly declaring: { readonly name: string; readonly instead: string } | null;
  /** The tables of this query and of those around it that columns may be qualified by in full. */
  readonly sources: readonly Source[];
  readonly names: { next: number };
  /** How many nodes an alias of this query stands for, and a WITH that is copied to where it is read (`with NAME`). */
  readonly stands: Map<string, number>;
}

interface Source {
  readonly catalog: string;
  readonly schema: string;
  readonly name: string;
}

export const outermost = (): Scope => ({
  ctes: new Map(),
  declaring: null,
  sources: [],
  names: { next: 1 },
  stands: new Map(),
});

const lower = (name: unknown): string => String(name).toLowerCase();

/**
 * WITHs see those before them, never themselves: there DuckDB looks for a table. Each gets a name of ours, which is no file's,
 * so that it does no harm if DuckDB should look for a table where we see a WITH.
 */
export function declareCtes(
  ctes: unknown,
  around: Scope,
  visit: (declaration: unknown, scope: Scope) => number,
): Scope {
  const entries = ((ctes as { map?: Node[] } | undefined)?.map ?? []) as { key: string; value: unknown }[];
  return entries.reduce<Scope>(
    (before, entry) => {
      const instead = `with_${before.names.next++}`;
      const nodes = visit(entry.value, { ...before, declaring: { name: lower(entry.key), instead } });
      const isCopied = (entry.value as Node)['materialized'] === 'CTE_MATERIALIZE_NEVER';
      if (isCopied) before.stands.set(`with ${instead}`, nodes);
      const ctes = new Map([...before.ctes, [lower(entry.key), instead]]);
      entry.key = instead;
      return { ...before, ctes };
    },
    { ...around, declaring: null, stands: new Map(around.stands) },
  );
}

/** Renames a recursive WITH within itself; the scope of its recursive part, where it can be read. */
export function recursiveScope(node: Node, around: Scope, declaring: Scope['declaring']): Scope {
  const name = lower(node['cte_name']);
  const instead = declaring?.name === name ? declaring.instead : `with_${around.names.next++}`;
  node['cte_name'] = instead;
  return { ...around, ctes: new Map([...around.ctes, [name, instead]]) };
}

/** True when the table is a WITH, which is then named as such. */
export function renameReference(node: Node, { ctes }: Scope): boolean {
  // `recurring.NAME` are all rows of a recursive WITH so far.
  if (node['catalog_name'] !== '' || !['', 'recurring'].includes(lower(node['schema_name']))) return false;
  const instead = ctes.get(lower(node['table_name']));
  if (instead === undefined) return false;
  Object.assign(node, { alias: node['alias'] === '' ? node['table_name'] : node['alias'], table_name: instead });
  return true;
}

/** With the tables of a SELECT's own FROM. */
export function withSources(node: Node, scope: Scope): Scope {
  if (node['type'] !== 'SELECT_NODE') return scope;
  return { ...scope, sources: [...scope.sources, ...sourcesOf(node['from_table'] as Node)] };
}

function sourcesOf(table: Node): Source[] {
  if (table['type'] === 'JOIN') return [...sourcesOf(table['left'] as Node), ...sourcesOf(table['right'] as Node)];
  if (table['type'] !== 'BASE_TABLE' || table['alias'] !== '' || table['schema_name'] === '') return [];
  return [
    { catalog: lower(table['catalog_name']), schema: lower(table['schema_name']), name: lower(table['table_name']) },
  ];
}

/** `features.rides.x` and `eider.features.rides.x` as `rides.x`: the view of the table is called as the table. */
export function stripQualifier(node: Node, { sources }: Scope): void {
  const names = node['column_names'] as string[];
  const [first, second, third] = names.map(lower);
  const bySchema = (source: Source) => source.schema === first && source.name === second;
  const byCatalog = (source: Source) => source.catalog === first && source.schema === second && source.name === third;
  if (names.length > 3 && sources.some(byCatalog)) node['column_names'] = names.slice(2);
  else if (names.length > 2 && sources.some(bySchema)) node['column_names'] = names.slice(1);
}
