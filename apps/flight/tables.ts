import { z } from 'zod';
import { nameAsRead, tableSchemas, type PinnedTable, type TableReader } from '../../domain/tables.js';
import { rangePlan, rangesOf, type RowRange } from '../../lake/read/ranges.js';
import { tablePlan } from '../../lake/read/table.js';
import { requireProject } from './access.js';
import { tableNameOf } from './descriptor.js';
import type { Readable, ReadableKind } from './readable.js';

const TableContent = z.strictObject({
  kind: z.literal('table'),
  schema: z.enum(tableSchemas),
  name: z.string(),
  revision: z.int32(),
  snapshot: z.int(),
  /** Of one endpoint of several: the first row and the one behind the last. */
  rows: z.tuple([z.int(), z.int()]).optional(),
});
type TableContent = z.infer<typeof TableContent>;

export interface TablesDeps {
  readonly tables: TableReader;
  /** Object keys are relative to this folder. */
  readonly lakeRoot: string;
  /** How much Parquet an endpoint stands for. */
  readonly endpointBytes: number;
}

/** Some tenths of a second to read, so that the second connection of a client that opens one for each is worth it. */
export const endpointBytesDefault = 64 * 2 ** 20;
/** More than the cores that read them help nobody. */
const endpointsMax = 8;

/** Tables by path: `[PROJECT, SCHEMA, NAME]`. */
export function tablesKind(deps: TablesDeps): ReadableKind<TableContent> {
  const { tables } = deps;
  return {
    content: TableContent,
    async resolve(descriptor, call) {
      if (descriptor.type !== 'PATH') return null;
      const { project, schema, name } = tableNameOf(descriptor, call.project);
      requireProject(call, project);
      return tableReadable(await tables.resolve(project, schema, name), deps);
    },
    async open({ schema, name, revision, snapshot, rows }, { project }) {
      const table = await tables.at(project, schema, name, revision, snapshot);
      return rows ? rangeReadable(table, { start: rows[0], end: rows[1] }, deps) : tableReadable(table, deps);
    },
  };
}

/** A large table is several endpoints, each of which can be read alone, and again. */
export function tableReadable(table: PinnedTable, { lakeRoot, endpointBytes }: Omit<TablesDeps, 'tables'>): Readable {
  const ranges = rangesOf(table, endpointBytes, endpointsMax);
  const content = contentOf(table);
  const plan = tablePlan(table, lakeRoot);
  return {
    ...described(table),
    contents: ranges.length > 1 ? ranges.map(({ start, end }) => ({ ...content, rows: [start, end] })) : [content],
    ...{ rows: plan.rows, bytes: table.bytes },
    source: { type: 'plan', plan, repeatable: true },
  };
}

function rangeReadable(table: PinnedTable, range: RowRange, { lakeRoot }: TablesDeps): Readable {
  return {
    ...described(table),
    contents: [{ ...contentOf(table), rows: [range.start, range.end] } satisfies TableContent],
    ...{ rows: range.end - range.start, bytes: null },
    source: { type: 'plan', plan: rangePlan(table, range, lakeRoot), repeatable: true },
  };
}

const contentOf = ({ schema, revision, snapshot, ...table }: PinnedTable): TableContent => ({
  ...{ kind: 'table', schema, name: nameAsRead(table), revision, snapshot },
});

function described({ project, schema, name, revision, snapshot, rowHash, raw }: PinnedTable) {
  const pin = { project, schema, name, revision, snapshot };
  return { project, pins: [pin], metadata: { ...pin, rowHash, ...(raw ? { raw } : {}) } };
}
