import {
  Binary,
  Bool,
  DenseUnion,
  Field,
  Int32,
  Int64,
  List,
  Map_,
  Schema,
  Struct,
  Uint32,
  Uint8,
  Utf8,
  type DataType,
} from 'apache-arrow';

/** The schemas that Flight SQL prescribes for what it asks about the server: names, types and nullability to the letter. */

const required = (name: string, type: DataType): Field => new Field(name, type, false);
const optional = (name: string, type: DataType): Field => new Field(name, type, true);

export const catalogsSchema = new Schema([required('catalog_name', new Utf8())]);

export const dbSchemasSchema = new Schema([
  optional('catalog_name', new Utf8()),
  required('db_schema_name', new Utf8()),
]);

const tableFields = [
  optional('catalog_name', new Utf8()),
  optional('db_schema_name', new Utf8()),
  required('table_name', new Utf8()),
  required('table_type', new Utf8()),
];
export const tablesSchema = new Schema(tableFields);
export const tablesWithSchemaSchema = new Schema([...tableFields, required('table_schema', new Binary())]);

export const tableTypesSchema = new Schema([required('table_type', new Utf8())]);

/** The clients of Arrow all have key_sequence before key_name; the comment in FlightSql.proto has it the other way round. */
export const primaryKeysSchema = new Schema([
  optional('catalog_name', new Utf8()),
  optional('db_schema_name', new Utf8()),
  required('table_name', new Utf8()),
  required('column_name', new Utf8()),
  required('key_sequence', new Int32()),
  optional('key_name', new Utf8()),
]);

/** Of exported and imported keys, and of cross references. */
export const foreignKeysSchema = new Schema([
  optional('pk_catalog_name', new Utf8()),
  optional('pk_db_schema_name', new Utf8()),
  required('pk_table_name', new Utf8()),
  required('pk_column_name', new Utf8()),
  optional('fk_catalog_name', new Utf8()),
  optional('fk_db_schema_name', new Utf8()),
  required('fk_table_name', new Utf8()),
  required('fk_column_name', new Utf8()),
  required('key_sequence', new Int32()),
  optional('fk_key_name', new Utf8()),
  optional('pk_key_name', new Utf8()),
  required('update_rule', new Uint8()),
  required('delete_rule', new Uint8()),
]);

export const typeInfoSchema = new Schema([
  required('type_name', new Utf8()),
  required('data_type', new Int32()),
  optional('column_size', new Int32()),
  optional('literal_prefix', new Utf8()),
  optional('literal_suffix', new Utf8()),
  optional('create_params', new List(required('item', new Utf8()))),
  required('nullable', new Int32()),
  required('case_sensitive', new Bool()),
  required('searchable', new Int32()),
  optional('unsigned_attribute', new Bool()),
  required('fixed_prec_scale', new Bool()),
  optional('auto_increment', new Bool()),
  optional('local_type_name', new Utf8()),
  optional('minimum_scale', new Int32()),
  optional('maximum_scale', new Int32()),
  required('sql_data_type', new Int32()),
  optional('datetime_subcode', new Int32()),
  optional('num_prec_radix', new Int32()),
  optional('interval_precision', new Int32()),
]);

/** The children of what a piece of SqlInfo may be; their positions are their type ids. */
export const infoChildren = { string: 0, bool: 1, bigint: 2, int32: 3, strings: 4, int32Lists: 5 } as const;

const int32Lists = new Struct([
  required('key', new Int32()),
  optional('value', new List(optional('$data$', new Int32()))),
]);

const infoFields = [
  required('string_value', new Utf8()),
  required('bool_value', new Bool()),
  required('bigint_value', new Int64()),
  required('int32_bitmask', new Int32()),
  required('string_list', new List(optional('string_data', new Utf8()))),
  required('int32_to_int32_list_map', new Map_(required('entries', int32Lists) as Field<typeof int32Lists>)),
];

export const sqlInfoSchema = new Schema([
  required('info_name', new Uint32()),
  required('value', new DenseUnion(Object.values(infoChildren), infoFields)),
]);
