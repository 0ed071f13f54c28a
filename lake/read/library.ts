import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import { DomainError } from '../../domain/errors.js';

/**
 * DuckDB's C API by FFI: the library that `@duckdb/node-bindings` ships, called synchronously. Every pointer is a plain
 * number, because an address has at most 47 bits and a call with numbers takes some 30 ns. A buffer whose address is in
 * use must stay referenced, or its memory goes with the garbage.
 */
export type Pointer = number;

const require = createRequire(import.meta.url);

const libraryNames: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'libduckdb.dylib',
  linux: 'libduckdb.so',
  win32: 'duckdb.dll',
};

/** Beside the native binding of this platform; package managers install the variant for glibc or the one for musl. */
function libraryPath(): string {
  const file = libraryNames[process.platform];
  const fromBindings = createRequire(require.resolve('@duckdb/node-bindings/package.json'));
  const base = `@duckdb/node-bindings-${process.platform}-${process.arch}`;
  for (const name of [base, `${base}-musl`])
    try {
      if (file !== undefined) return join(dirname(fromBindings.resolve(`${name}/package.json`)), file);
    } catch {
      // Not this variant; the sentence below speaks when there is none.
    }
  throw new DomainError('tool_missing', `DuckDB's library for ${process.platform}-${process.arch} is not installed.`, {
    package: base,
  });
}

export type Library = ReturnType<typeof loadLibrary>;

let loaded: Library | undefined;
/** Once a thread. */
export const library = (): Library => (loaded ??= loadLibrary());

/** `duckdb_result`, 48 bytes, is passed by value to one function only. */
const resultBytes = 48;

/** How a function of DuckDB's is bound: p = pointer, n = 64-bit count, i = 32-bit, b = one byte, s = text, v = nothing; the answer first. */
type Bind = <Call>(name: string, signature: string) => Call;
const letters = { p: 'uintptr_t', n: 'uint64_t', i: 'int32_t', b: 'uint8_t', s: 'str', v: 'void' } as const;

function binder(duckdb: LibraryHandle): Bind {
  return <Call>(name: string, signature: string): Call => {
    const [answer, ...values] = [...signature].map((letter) => letters[letter as keyof typeof letters]);
    return duckdb.func(`duckdb_${name}`, answer ?? 'void', values) as unknown as Call;
  };
}

type One<Answer> = (pointer: Pointer) => Answer;
/** A part of something, by its number. */
type Indexed = (pointer: Pointer, index: number) => Pointer;
type Two<Answer> = (pointer: Pointer, other: Pointer) => Answer;

/** Logical types and their parts; who gets a type destroys it, who gets a text frees it. */
const bindTypes = (bind: Bind) => ({
  typeId: bind<One<number>>('get_type_id', 'ip'),
  typeAliasAt: bind<One<Pointer>>('logical_type_get_alias', 'pp'),
  enumCodeType: bind<One<number>>('enum_internal_type', 'ip'),
  enumSize: bind<One<number>>('enum_dictionary_size', 'np'),
  enumValue: bind<Indexed>('enum_dictionary_value', 'ppn'),
  listChildType: bind<One<Pointer>>('list_type_child_type', 'pp'),
  arrayChildType: bind<One<Pointer>>('array_type_child_type', 'pp'),
  arraySize: bind<One<number>>('array_type_array_size', 'np'),
  structSize: bind<One<number>>('struct_type_child_count', 'np'),
  structChildName: bind<Indexed>('struct_type_child_name', 'ppn'),
  structChildType: bind<Indexed>('struct_type_child_type', 'ppn'),
  mapKeyType: bind<One<Pointer>>('map_type_key_type', 'pp'),
  mapValueType: bind<One<Pointer>>('map_type_value_type', 'pp'),
  unionSize: bind<One<number>>('union_type_member_count', 'np'),
  unionMemberName: bind<Indexed>('union_type_member_name', 'ppn'),
  unionMemberType: bind<Indexed>('union_type_member_type', 'ppn'),
  decimalWidth: bind<One<number>>('decimal_width', 'bp'),
  decimalScale: bind<One<number>>('decimal_scale', 'bp'),
  destroyLogicalType: bind<One<void>>('destroy_logical_type', 'vp'),
});

const bindAll = (bind: Bind) => ({
  ...bindTypes(bind),
  version: bind<() => string>('library_version', 's'),
  openExt: bind<(path: string, database: Pointer, config: Pointer, error: Pointer) => number>('open_ext', 'isppp'),
  createConfig: bind<One<number>>('create_config', 'ip'),
  setConfig: bind<(config: Pointer, name: string, value: string) => number>('set_config', 'ipss'),
  destroyConfig: bind<One<void>>('destroy_config', 'vp'),
  close: bind<One<void>>('close', 'vp'),
  connect: bind<Two<number>>('connect', 'ipp'),
  disconnect: bind<One<void>>('disconnect', 'vp'),
  interrupt: bind<One<void>>('interrupt', 'vp'),
  query: bind<(connection: Pointer, sql: string, result: Pointer) => number>('query', 'ipsp'),
  prepare: bind<(connection: Pointer, sql: string, prepared: Pointer) => number>('prepare', 'ipsp'),
  prepareError: bind<One<string | null>>('prepare_error', 'sp'),
  destroyPrepare: bind<One<void>>('destroy_prepare', 'vp'),
  preparedColumnCount: bind<One<number>>('prepared_statement_column_count', 'np'),
  preparedColumnName: bind<(prepared: Pointer, column: number) => string | null>(
    'prepared_statement_column_name',
    'spn',
  ),
  preparedColumnType: bind<(prepared: Pointer, column: number) => Pointer>('prepared_statement_column_logical_type', 'ppn'), // prettier-ignore
  parameterCount: bind<One<number>>('nparams', 'np'),
  /** Positions begin with 1; 0 when the statement does not tell. */
  parameterType: bind<(prepared: Pointer, position: number) => Pointer>('param_logical_type', 'ppn'),
  bindText: bind<(prepared: Pointer, position: number, text: string) => number>('bind_varchar', 'ipns'),
  executePrepared: bind<Two<number>>('execute_prepared', 'ipp'),
  valueText: bind<(result: Pointer, column: number, row: number) => Pointer>('value_varchar', 'ppnn'),
  pendingStreaming: bind<Two<number>>('pending_prepared_streaming', 'ipp'),
  pendingError: bind<One<string | null>>('pending_error', 'sp'),
  destroyPending: bind<One<void>>('destroy_pending', 'vp'),
  executePending: bind<Two<number>>('execute_pending', 'ipp'),
  resultError: bind<One<string | null>>('result_error', 'sp'),
  resultErrorType: bind<One<number>>('result_error_type', 'ip'),
  destroyResult: bind<One<void>>('destroy_result', 'vp'),
  columnCount: bind<One<number>>('column_count', 'np'),
  columnName: bind<(result: Pointer, column: number) => string | null>('column_name', 'spn'),
  columnLogicalType: bind<(result: Pointer, column: number) => Pointer>('column_logical_type', 'ppn'),
  vectorSize: bind<() => number>('vector_size', 'n'),
  chunkRows: bind<One<number>>('data_chunk_get_size', 'np'),
  chunkVector: bind<Indexed>('data_chunk_get_vector', 'ppn'),
  destroyChunk: bind<One<void>>('destroy_data_chunk', 'vp'),
  createChunk: bind<(types: Pointer, columns: number) => Pointer>('create_data_chunk', 'ppn'),
  resetChunk: bind<One<void>>('data_chunk_reset', 'vp'),
  setChunkRows: bind<(chunk: Pointer, rows: number) => void>('data_chunk_set_size', 'vpn'),
  vectorData: bind<One<Pointer>>('vector_get_data', 'pp'),
  vectorValidity: bind<One<Pointer>>('vector_get_validity', 'pp'),
  listChild: bind<One<Pointer>>('list_vector_get_child', 'pp'),
  listChildRows: bind<One<number>>('list_vector_get_size', 'np'),
  structChild: bind<Indexed>('struct_vector_get_child', 'ppn'),
  arrayChild: bind<One<Pointer>>('array_vector_get_child', 'pp'),
  referenceVector: bind<Two<void>>('vector_reference_vector', 'vpp'),
  arrowOptions: bind<One<Pointer>>('result_get_arrow_options', 'pp'),
  destroyArrowOptions: bind<One<void>>('destroy_arrow_options', 'vp'),
  chunkToArrow: bind<(options: Pointer, chunk: Pointer, array: Pointer) => Pointer>('data_chunk_to_arrow', 'pppp'),
  errorMessage: bind<One<string | null>>('error_data_message', 'sp'),
  destroyErrorData: bind<One<void>>('destroy_error_data', 'vp'),
  free: bind<One<void>>('free', 'vp'),
});

function loadLibrary() {
  const duckdb = koffi.load(libraryPath());
  const libc = koffi.load(process.platform === 'win32' ? 'ucrtbase.dll' : null);
  const result = koffi.struct({
    columnCount: 'uint64_t',
    rowCount: 'uint64_t',
    rowsChanged: 'uint64_t',
    columns: 'uintptr_t',
    errorMessage: 'uintptr_t',
    internalData: 'uintptr_t',
  });
  const fetchChunk = duckdb.func('duckdb_fetch_chunk', letters.p, [result]) as unknown as (result: object) => Pointer;
  const releaseArrow = koffi.proto('void', ['uintptr_t']);
  const releases = new Map<number, (array: Pointer) => void>();

  return {
    ...bindAll(binder(duckdb)),
    memcpy: libc.func('memcpy', 'void', ['uintptr_t', 'uintptr_t', 'size_t']) as unknown as (
      target: Pointer,
      source: Pointer,
      bytes: number,
    ) => void,
    /** The text that begins there and ends with a zero. */
    textAt: (at: Pointer): string => koffi.decode(BigInt(at), 'char', -1) as string,
    /** Gives the next chunk, or 0: then `resultError` tells whether that was the end. */
    chunkFetcher(held: Held): () => Pointer {
      const byValue = koffi.decode(held.buffer, result) as object;
      return () => fetchChunk(byValue);
    },
    /** Calls an ArrowArray's own release function. */
    releaseArrow(release: Pointer, array: Pointer): void {
      let call = releases.get(release);
      if (!call) releases.set(release, (call = koffi.decode(BigInt(release), releaseArrow) as (at: Pointer) => void));
      call(array);
    },
  };
}

/** Memory of ours that DuckDB writes to: a handle, a struct. */
export interface Held {
  readonly buffer: Buffer;
  readonly address: Pointer;
}

export function hold(bytes: number): Held {
  const buffer = Buffer.alloc(Math.max(bytes, 128)); // Small typed arrays may live on V8's heap, where they move.
  return { buffer, address: addressOf(buffer) };
}

const lastUsed: Held[] = [];
/** Tells the garbage collector, which does not see addresses, that they were needed until here. */
export const usedTill = (...helds: readonly Held[]): void => void lastUsed.splice(0, lastUsed.length, ...helds);

export const holdResult = (): Held => hold(resultBytes);
export const holdHandle = (): Held => hold(8);
export const addressOf = (buffer: Uint8Array): Pointer => Number(koffi.address(buffer));
export const pointerBytes = 8;

/** Pointers in memory of ours; in two halves, because a BigInt is memory of its own. */
export const pointerAt = ({ buffer }: Held, offset = 0): Pointer =>
  buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 2 ** 32;
export function setPointer({ buffer }: Held, pointer: Pointer, offset = 0): void {
  buffer.writeUInt32LE(pointer % 2 ** 32, offset);
  buffer.writeUInt32LE(Math.floor(pointer / 2 ** 32), offset + 4);
}

/** A text that DuckDB gives away. */
export function textAndFree(at: Pointer): string {
  const { textAt, free } = library();
  const text = textAt(at);
  free(at);
  return text;
}
