import {
  Dictionary,
  FixedSizeList,
  List,
  Map_,
  SparseUnion,
  Struct,
  Uint16,
  Uint32,
  Uint8,
  Utf8,
  type DataType,
} from 'apache-arrow/type';
import { Field } from 'apache-arrow/schema';
import { quoteName, quoteText } from '../quoting.js';
import type { Layout } from './layout.js';
import { library, textAndFree, type Pointer } from './library.js';
import { fieldOf, type TypeReading, type TypeRow } from './type-row.js';

/** Types that are made of others, and enums. Fields are named as DuckDB's own export names them. */
export const nestedRows = { enum: enumRow, list, array, struct, map, union } as const;

/** The codes are the same in both; the values go before them in a dictionary, once a stream. */
function enumRow(logical: Pointer, { nextDictionary }: TypeReading): TypeRow {
  const duckdb = library();
  const size = duckdb.enumSize(logical);
  const values = Array.from({ length: size }, (_, index) => textAndFree(duckdb.enumValue(logical, index)));
  const codes = { 2: new Uint8(), 3: new Uint16(), 4: new Uint32() } as const;
  const width = ({ 6: 1, 7: 2, 8: 4 } as const)[duckdb.enumCodeType(logical)] ?? 4;
  const id = nextDictionary();
  const layout: Layout = { kind: 'plain', width };
  const index = { 1: codes[2], 2: codes[3], 4: codes[4] }[width];
  return {
    sql: `ENUM(${values.map(quoteText).join(', ')})`,
    arrow: new Dictionary(new Utf8(), index, id),
    ...{ vector: layout, array: layout, dictionaries: [{ id, values }] },
  };
}

function list(logical: Pointer, { read }: TypeReading): TypeRow {
  const child = read(library().listChildType(logical));
  return nest(`${child.sql}[]`, new List(fieldOf('l', child)), { kind: 'list', children: [child.array] }, [child]);
}

function array(logical: Pointer, { read }: TypeReading): TypeRow {
  const child = read(library().arrayChildType(logical));
  const size = library().arraySize(logical);
  const layout: Layout = { kind: 'fixedList', size, children: [child.array] };
  return nest(`${child.sql}[${size}]`, new FixedSizeList(size, fieldOf('', child)), layout, [child]);
}

function struct(logical: Pointer, { read }: TypeReading): TypeRow {
  const duckdb = library();
  const members = Array.from({ length: duckdb.structSize(logical) }, (_, index) => ({
    name: textAndFree(duckdb.structChildName(logical, index)),
    row: read(duckdb.structChildType(logical, index)),
  }));
  const layout: Layout = { kind: 'struct', children: members.map(({ row }) => row.array) };
  const arrow = new Struct(members.map(({ name, row }) => fieldOf(name, row)));
  return nest(`STRUCT(${namesAndTypes(members)})`, arrow, layout, rowsOf(members));
}

function map(logical: Pointer, { read }: TypeReading): TypeRow {
  const duckdb = library();
  const key = read(duckdb.mapKeyType(logical));
  const value = read(duckdb.mapValueType(logical));
  const entries = new Struct([fieldOf('key', key, false), fieldOf('value', value)]);
  const layout: Layout = { kind: 'list', children: [{ kind: 'struct', children: [key.array, value.array] }] };
  const arrow = new Map_(new Field('entries', entries, false) as never);
  return nest(`MAP(${key.sql}, ${value.sql})`, arrow, layout, [key, value]);
}

function union(logical: Pointer, { read }: TypeReading): TypeRow {
  const duckdb = library();
  const members = Array.from({ length: duckdb.unionSize(logical) }, (_, index) => ({
    name: textAndFree(duckdb.unionMemberName(logical, index)),
    row: read(duckdb.unionMemberType(logical, index)),
  }));
  const layout: Layout = { kind: 'union', children: members.map(({ row }) => row.array) };
  const fields = members.map(({ name, row }) => fieldOf(name, row));
  const arrow = new SparseUnion(Int32Array.from(members.keys()), fields);
  return nest(`UNION(${namesAndTypes(members)})`, arrow, layout, rowsOf(members));
}

interface Member {
  readonly name: string;
  readonly row: TypeRow;
}

const rowsOf = (members: readonly Member[]): TypeRow[] => members.map(({ row }) => row);
const namesAndTypes = (members: readonly Member[]): string =>
  members.map(({ name, row }) => (name === '' ? row.sql : `${quoteName(name)} ${row.sql}`)).join(', ');

/** No nested vector lies as Arrow has it. */
const nest = (sql: string, arrow: DataType, arrayLayout: Layout, parts: readonly TypeRow[]): TypeRow => ({
  ...{ sql, arrow, vector: null, array: arrayLayout },
  dictionaries: parts.flatMap(({ dictionaries }) => dictionaries),
});
