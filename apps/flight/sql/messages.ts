import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { DomainError } from '../../../domain/errors.js';

/** The messages of `proto/FlightSql.proto` that clients send packed, by name, as far as we read them. Absent: not narrowed. */
export interface SqlMessages {
  CommandGetSqlInfo: { readonly info: readonly number[] };
  CommandGetXdbcTypeInfo: { readonly data_type?: number };
  CommandGetCatalogs: object;
  CommandGetDbSchemas: { readonly catalog?: string; readonly db_schema_filter_pattern?: string };
  CommandGetTables: {
    readonly catalog?: string;
    readonly db_schema_filter_pattern?: string;
    readonly table_name_filter_pattern?: string;
    readonly table_types: readonly string[];
    readonly include_schema: boolean;
  };
  CommandGetTableTypes: object;
  CommandGetPrimaryKeys: object;
  CommandGetExportedKeys: object;
  CommandGetImportedKeys: object;
  CommandGetCrossReference: object;
  CommandStatementQuery: { readonly query: string; readonly transaction_id?: Buffer };
  CommandPreparedStatementQuery: { readonly prepared_statement_handle: Buffer };
  CommandStatementUpdate: object;
  CommandPreparedStatementUpdate: object;
  CommandStatementIngest: object;
  CommandStatementSubstraitPlan: object;
  ActionCreatePreparedStatementRequest: { readonly query: string; readonly transaction_id?: Buffer };
  ActionClosePreparedStatementRequest: { readonly prepared_statement_handle: Buffer };
  ActionCancelQueryRequest: { readonly info: Buffer };
}

/** Those that we answer with. */
export interface SqlAnswers {
  ActionCreatePreparedStatementResult: {
    readonly prepared_statement_handle: Buffer;
    readonly dataset_schema: Buffer;
    readonly parameter_schema: Buffer;
    readonly is_update: boolean;
  };
  DoPutPreparedStatementResult: { readonly prepared_statement_handle: Buffer };
  ActionCancelQueryResult: { readonly result: number };
}

export type SqlMessage = {
  readonly [Name in keyof SqlMessages]: { readonly name: Name; readonly message: SqlMessages[Name] };
}[keyof SqlMessages];

export interface SqlCodec {
  /** A message in a `google.protobuf.Any`; null when it holds something else. Throws `descriptor_invalid` when it is broken. */
  unpack(any: Uint8Array): SqlMessage | null;
  pack<Name extends keyof SqlAnswers>(name: Name, message: SqlAnswers[Name]): Buffer;
  encode<Name extends keyof SqlAnswers>(name: Name, message: SqlAnswers[Name]): Buffer;
  /** The number of each name of an enumeration. */
  enumeration(name: string): Readonly<Record<string, number>>;
}

const packageName = 'arrow.flight.protocol.sql';
const typeUrl = `type.googleapis.com/${packageName}.`;

/** `folder` holds FlightSql.proto. Its only import, of options for compilers, is not followed. */
export function sqlCodec(folder: string): SqlCodec {
  const { root } = protobuf.parse(readFileSync(join(folder, 'FlightSql.proto'), 'utf8'), { keepCase: true });
  const any = new protobuf.Type('Any')
    .add(new protobuf.Field('type_url', 1, 'string'))
    .add(new protobuf.Field('value', 2, 'bytes'));
  const typeOf = (name: string) => root.lookupType(`${packageName}.${name}`);
  const encode: SqlCodec['encode'] = (name, message) => Buffer.from(typeOf(name).encode(message).finish());

  function opened(bytes: Uint8Array): { readonly type_url: string; readonly value: Uint8Array } | null {
    try {
      return any.toObject(any.decode(bytes), { defaults: true }) as { type_url: string; value: Uint8Array };
    } catch {
      return null; // JSON, or whatever else a descriptor may hold.
    }
  }

  return {
    encode,
    pack: (name, message) =>
      Buffer.from(any.encode({ type_url: typeUrl + name, value: encode(name, message) }).finish()),
    enumeration: (name) => root.lookupEnum(`${packageName}.${name}`).values,
    unpack(bytes) {
      const packed = opened(bytes);
      if (!packed?.type_url.startsWith(typeUrl)) return null;
      const name = packed.type_url.slice(typeUrl.length);
      const type = root.lookup(`${packageName}.${name}`);
      if (!(type instanceof protobuf.Type))
        throw new DomainError('not_implemented', `Flight SQL's ${name} is not known here.`, { name });
      try {
        const message = type.toObject(type.decode(packed.value), { longs: Number, defaults: true });
        return { name, message } as unknown as SqlMessage;
      } catch {
        throw new DomainError('descriptor_invalid', `It is no ${name}, although it says so.`, { name });
      }
    },
  };
}
