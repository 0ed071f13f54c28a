import { Field, Message, Schema, type DataType } from 'apache-arrow';
import type { Description } from '../../../lake/read/plan.js';
import { columnType } from './types.js';

export interface ColumnOwner {
  readonly catalog: string;
  readonly schema?: string;
  readonly table?: string;
}

/** Of a bare flatbuffer Message. */
export const decodedSchema = (message: Uint8Array): Schema => Message.decode(message).header() as Schema;
export const encodedSchema = (schema: Schema): Buffer => Buffer.from(Message.encode(Message.from(schema)));

/** The schema with what Flight SQL lets each column say of itself: JDBC and BI tools read types and sizes there. */
export function describedSchema(
  { schema, columns }: Pick<Description, 'schema' | 'columns'>,
  owner: ColumnOwner,
): Schema {
  const { fields } = decodedSchema(schema);
  return new Schema(
    fields.map(({ name, type, nullable }, index) => {
      const metadata = columnMetadata(columns[index]?.type ?? String(type), owner);
      return new Field(name, type as DataType, nullable, metadata);
    }),
  );
}

/** `type` is DuckDB's name. */
function columnMetadata(type: string, owner: ColumnOwner): Map<string, string> {
  const { name, size, scale } = columnType(type);
  const said: Readonly<Record<string, string | number | null | undefined>> = {
    CATALOG_NAME: owner.catalog,
    DB_SCHEMA_NAME: owner.schema,
    TABLE_NAME: owner.table,
    TYPE_NAME: name,
    PRECISION: size,
    SCALE: scale,
    IS_AUTO_INCREMENT: 0,
    IS_CASE_SENSITIVE: name === 'VARCHAR' ? 1 : 0,
    IS_READ_ONLY: 1,
    IS_SEARCHABLE: 1,
  };
  return new Map(
    Object.entries(said).flatMap(([key, value]) =>
      value === null || value === undefined ? [] : [[`ARROW:FLIGHT:SQL:${key}`, String(value)] as const],
    ),
  );
}
