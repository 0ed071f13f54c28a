import { z } from 'zod';
import type { ProjectName } from '../../domain/ids.js';
import { tableSchemas, type PinnedTable, type TableReader } from '../../domain/tables.js';
import { tablePlan } from '../../lake/read/table.js';
import { tableNameOf } from './descriptor.js';
import type { Readable, ReadableKind } from './readable.js';

const TableContent = z.strictObject({
  kind: z.literal('table'),
  schema: z.enum(tableSchemas),
  name: z.string(),
  revision: z.int(),
  snapshot: z.int(),
});
type TableContent = z.infer<typeof TableContent>;

export interface TablesDeps {
  readonly tables: TableReader;
  /** Object keys are relative to this folder. */
  readonly lakeRoot: string;
}

/** Tables by path: `[PROJECT, SCHEMA, NAME]`. */
export function tablesKind({ tables, lakeRoot }: TablesDeps): ReadableKind<TableContent> {
  return {
    content: TableContent,
    async resolve(descriptor, call) {
      if (descriptor.type !== 'PATH') return null;
      const { project, schema, name } = tableNameOf(descriptor, call.project);
      return tableReadable(await tables.resolve(project, schema, name), lakeRoot);
    },
    async open({ schema, name, revision, snapshot }, { project }) {
      return tableReadable(await tables.at(project as ProjectName, schema, name, revision, snapshot), lakeRoot);
    },
  };
}

export function tableReadable(table: PinnedTable, lakeRoot: string): Readable {
  const { project, schema, name, revision, snapshot, rowHash, rows, bytes } = table;
  return {
    contents: [{ kind: 'table', schema, name, revision, snapshot } satisfies TableContent],
    pins: [{ project, schema, name, revision, snapshot }],
    ...{ rows, bytes },
    metadata: { project, schema, name, revision, snapshot, rowHash },
    source: { type: 'plan', plan: tablePlan(table, lakeRoot), repeatable: true },
  };
}
