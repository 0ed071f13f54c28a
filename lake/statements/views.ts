import { DomainError } from '../../domain/errors.js';
import type { PinnedTable } from '../../domain/tables.js';
import { quoteName } from '../duckdb.js';
import { tableRelation } from '../read/table.js';
import type { Node } from './grammar.js';

/** A table of a statement, and the temporary view that stands for it on the connection. */
export interface NamedTable {
  readonly table: PinnedTable;
  readonly as: string;
}

export const viewStatement = ({ table, as }: NamedTable, lakeRoot: string): string =>
  `CREATE OR REPLACE TEMP VIEW ${quoteName(as)} AS ${tableRelation(table, lakeRoot)}`;

/** Lets the reference mean the view, under the name that the statement sees. */
export function replaceByView(node: Node, as: string): void {
  Object.assign(node, {
    ...{ catalog_name: 'temp', schema_name: 'main', table_name: as, at_clause: null },
    alias: node['alias'] === '' ? node['table_name'] : node['alias'],
  });
}

/** Throws when anything but the views is read. */
export function requireViews(nodes: readonly Node[], views: readonly { readonly as: string }[]): void {
  for (const { catalog_name: catalog, schema_name: schema, table_name: name, at_clause: at } of nodes)
    if (catalog !== 'temp' || schema !== 'main' || at || !views.some(({ as }) => as === name))
      throw new DomainError('statement_refused', `It reads ${JSON.stringify(name)} past its tables.`, { name });
}
