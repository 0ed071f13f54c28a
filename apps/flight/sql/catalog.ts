import type { Schema } from 'apache-arrow';
import { z } from 'zod';
import { DomainError } from '../../../domain/errors.js';
import { tableSchemas } from '../../../domain/tables.js';
import type { Call } from '../call.js';
import type { Readable, ReadableKind } from '../readable.js';
import { sqlInfoRows, type InfoFacts } from './info.js';
import type { SqlCodec, SqlMessage, SqlMessages } from './messages.js';
import { matcher } from './patterns.js';
import { readySource, type Row } from './ready.js';
import {
  catalogsSchema,
  dbSchemasSchema,
  foreignKeysSchema,
  primaryKeysSchema,
  sqlInfoSchema,
  tablesSchema,
  tablesWithSchemaSchema,
  tableTypesSchema,
  typeInfoSchema,
} from './schemas.js';
import { tableRows, tableType, type TableListDeps } from './tables.js';
import { typeInfoRows } from './types.js';

export interface CatalogDeps extends TableListDeps {
  readonly codec: SqlCodec;
  /** Of SqlInfo; asked for once. */
  readonly facts: () => Promise<InfoFacts>;
}

/** What a client asks about the server: the schema of the answer, and its rows. */
interface Question<Message> {
  readonly schema: (message: Message) => Schema;
  readonly rows: (message: Message, call: Call, deps: CatalogDeps) => Promise<Row[]> | Row[];
}

type Asked = Extract<keyof SqlMessages, `CommandGet${string}`>;

/** A feature view has many rows of one entity and instant, a training set repeats what its spine repeats: nothing is a key. */
const noKeys = () => [];
const foreignKeys = { schema: () => foreignKeysSchema, rows: noKeys };

const questions: { readonly [Name in Asked]: Question<SqlMessages[Name]> } = {
  CommandGetSqlInfo: {
    schema: () => sqlInfoSchema,
    rows: async ({ info }, _call, { codec, facts }) => sqlInfoRows(await facts(), codec.enumeration('SqlInfo'), info),
  },
  CommandGetXdbcTypeInfo: { schema: () => typeInfoSchema, rows: ({ data_type: code }) => typeInfoRows(code) },
  CommandGetCatalogs: { schema: () => catalogsSchema, rows: (_, { project }) => [{ catalog_name: project }] },
  CommandGetDbSchemas: { schema: () => dbSchemasSchema, rows: (asked, call) => schemaRows(asked, call) },
  CommandGetTables: {
    schema: ({ include_schema: included }) => (included ? tablesWithSchemaSchema : tablesSchema),
    rows: (asked, call, deps) => tableRows(deps, asked, call),
  },
  CommandGetTableTypes: { schema: () => tableTypesSchema, rows: () => [{ table_type: tableType }] },
  CommandGetPrimaryKeys: { schema: () => primaryKeysSchema, rows: noKeys },
  CommandGetExportedKeys: foreignKeys,
  CommandGetImportedKeys: foreignKeys,
  CommandGetCrossReference: foreignKeys,
};

/** Catalogs are projects; a statement reads that of its call. */
function schemaRows(
  { catalog, db_schema_filter_pattern: pattern }: SqlMessages['CommandGetDbSchemas'],
  { project }: Call,
): Row[] {
  if (catalog !== undefined && catalog !== project) return [];
  const schemas = tableSchemas.filter(matcher(pattern)).sort();
  return schemas.map((schema) => ({ catalog_name: project, db_schema_name: schema }));
}

const CatalogContent = z.strictObject({
  kind: z.literal('sql_catalog'),
  /** The command, as it came. */
  command: z.base64(),
});
type CatalogContent = z.infer<typeof CatalogContent>;

const isQuestion = (name: string): name is Asked => name in questions;

/** The questions of Flight SQL about catalogs, tables, types and the server. */
export function catalogKind(deps: CatalogDeps): ReadableKind<CatalogContent> {
  async function answer(cmd: Buffer, call: Call): Promise<Readable | null> {
    const asked = deps.codec.unpack(cmd);
    if (!asked || !isQuestion(asked.name)) return null;
    const { schema, rows } = await answered(asked as SqlMessage & { name: Asked }, call, deps);
    return {
      contents: [{ kind: 'sql_catalog', command: cmd.toString('base64') } satisfies CatalogContent],
      pins: [],
      rows: rows.length,
      bytes: null,
      metadata: { command: asked.name, project: call.project },
      source: readySource(schema, rows),
    };
  }

  return {
    content: CatalogContent,
    resolve: async ({ type, cmd }, call) => (type === 'CMD' ? answer(cmd, call) : null),
    async open({ command }, call) {
      const readable = await answer(Buffer.from(command, 'base64'), call);
      if (readable) return readable;
      throw new DomainError('ticket_invalid', 'It asks nothing that this version knows.');
    },
  };
}

async function answered<Name extends Asked>(
  { name, message }: { readonly name: Name; readonly message: SqlMessages[Name] },
  call: Call,
  deps: CatalogDeps,
): Promise<{ schema: Schema; rows: Row[] }> {
  const question: Question<SqlMessages[Name]> = questions[name];
  return { schema: question.schema(message), rows: await question.rows(message, call, deps) };
}
