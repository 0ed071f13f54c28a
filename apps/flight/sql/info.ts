import type { Reader } from '../../../lake/read/reader.js';
import { functionClass } from '../../../lake/statements/functions.js';
import type { OneOf, Row } from './ready.js';
import { infoChildren } from './schemas.js';

/** What the server is and what SQL it understands: a value for each name of `SqlInfo`. */

const text = (value: string): OneOf => ({ child: infoChildren.string, value });
const bool = (value: boolean): OneOf => ({ child: infoChildren.bool, value });
const count = (value: number): OneOf => ({ child: infoChildren.bigint, value: BigInt(value) });
const code = (value: number): OneOf => ({ child: infoChildren.int32, value });
/** Of the numbers of an enumeration. */
const bits = (...numbers: number[]): OneOf => code(numbers.reduce((mask, one) => mask | (1 << one), 0));
const texts = (value: readonly string[]): OneOf => ({ child: infoChildren.strings, value });
const lists = (value: Map<number, number[]>): OneOf => ({ child: infoChildren.int32Lists, value });

/** Zero is how Flight SQL says that there is no limit, or none that is known. */
const unlimited = count(0);
const caseInsensitive = code(1);
const nullsAtEnd = code(3);

export interface InfoFacts {
  readonly version: string;
  readonly statementCharactersMax: number;
  readonly words: Words;
}

/** Words of DuckDB's. */
export interface Words {
  readonly keywords: readonly string[];
  readonly numeric: readonly string[];
  readonly string: readonly string[];
  readonly datetime: readonly string[];
  readonly system: readonly string[];
}

const server = ({ version }: InfoFacts): Record<string, OneOf> => ({
  FLIGHT_SQL_SERVER_NAME: text('Eider'),
  FLIGHT_SQL_SERVER_VERSION: text(version),
  FLIGHT_SQL_SERVER_ARROW_VERSION: text('1.5'),
  FLIGHT_SQL_SERVER_READ_ONLY: bool(true),
  FLIGHT_SQL_SERVER_SQL: bool(true),
  FLIGHT_SQL_SERVER_SUBSTRAIT: bool(false),
  FLIGHT_SQL_SERVER_TRANSACTION: code(0),
  FLIGHT_SQL_SERVER_CANCEL: bool(true),
  FLIGHT_SQL_SERVER_BULK_INGESTION: bool(false),
  FLIGHT_SQL_SERVER_INGEST_TRANSACTIONS_SUPPORTED: bool(false),
  // Handles of prepared statements do not age.
  FLIGHT_SQL_SERVER_STATEMENT_TIMEOUT: code(0),
  FLIGHT_SQL_SERVER_TRANSACTION_TIMEOUT: code(0),
});

const syntax = ({ words }: InfoFacts): Record<string, OneOf> => ({
  SQL_DDL_CATALOG: bool(false),
  SQL_DDL_SCHEMA: bool(false),
  SQL_DDL_TABLE: bool(false),
  SQL_IDENTIFIER_CASE: caseInsensitive,
  SQL_IDENTIFIER_QUOTE_CHAR: text('"'),
  SQL_QUOTED_IDENTIFIER_CASE: caseInsensitive,
  SQL_ALL_TABLES_ARE_SELECTABLE: bool(true),
  SQL_NULL_ORDERING: nullsAtEnd,
  SQL_KEYWORDS: texts(words.keywords),
  SQL_NUMERIC_FUNCTIONS: texts(words.numeric),
  SQL_STRING_FUNCTIONS: texts(words.string),
  SQL_SYSTEM_FUNCTIONS: texts(words.system),
  SQL_DATETIME_FUNCTIONS: texts(words.datetime),
  SQL_SEARCH_STRING_ESCAPE: text('\\'),
  SQL_EXTRA_NAME_CHARACTERS: text('$'),
  SQL_SUPPORTS_COLUMN_ALIASING: bool(true),
  SQL_NULL_PLUS_NULL_IS_NULL: bool(true),
  SQL_SUPPORTS_CONVERT: lists(conversions),
  SQL_SUPPORTS_TABLE_CORRELATION_NAMES: bool(true),
  SQL_SUPPORTS_DIFFERENT_TABLE_CORRELATION_NAMES: bool(false),
  SQL_SUPPORTS_EXPRESSIONS_IN_ORDER_BY: bool(true),
  SQL_SUPPORTS_ORDER_BY_UNRELATED: bool(true),
  SQL_SUPPORTED_GROUP_BY: bits(0, 1),
  SQL_SUPPORTS_LIKE_ESCAPE_CLAUSE: bool(true),
  SQL_SUPPORTS_NON_NULLABLE_COLUMNS: bool(false),
  SQL_SUPPORTED_GRAMMAR: bits(0, 1, 2),
  SQL_ANSI92_SUPPORTED_LEVEL: bits(0, 1),
  SQL_SUPPORTS_INTEGRITY_ENHANCEMENT_FACILITY: bool(false),
  // The JDBC driver reads a mask here, whatever the comment in FlightSql.proto says: limited and full.
  SQL_OUTER_JOINS_SUPPORT_LEVEL: bits(1, 2),
  SQL_SCHEMA_TERM: text('schema'),
  SQL_PROCEDURE_TERM: text('procedure'),
  SQL_CATALOG_TERM: text('project'),
  SQL_CATALOG_AT_START: bool(true),
  SQL_SCHEMAS_SUPPORTED_ACTIONS: bits(),
  SQL_CATALOGS_SUPPORTED_ACTIONS: bits(),
  SQL_SUPPORTED_POSITIONED_COMMANDS: bits(),
  SQL_SELECT_FOR_UPDATE_SUPPORTED: bool(false),
  SQL_STORED_PROCEDURES_SUPPORTED: bool(false),
  SQL_SUPPORTED_SUBQUERIES: bits(0, 1, 2, 3),
  SQL_CORRELATED_SUBQUERIES_SUPPORTED: bool(true),
  SQL_SUPPORTED_UNIONS: bits(0, 1),
});

const limits = ({ statementCharactersMax }: InfoFacts): Record<string, OneOf> => ({
  SQL_MAX_BINARY_LITERAL_LENGTH: unlimited,
  SQL_MAX_CHAR_LITERAL_LENGTH: unlimited,
  SQL_MAX_COLUMN_NAME_LENGTH: unlimited,
  SQL_MAX_COLUMNS_IN_GROUP_BY: unlimited,
  SQL_MAX_COLUMNS_IN_INDEX: unlimited,
  SQL_MAX_COLUMNS_IN_ORDER_BY: unlimited,
  SQL_MAX_COLUMNS_IN_SELECT: unlimited,
  SQL_MAX_COLUMNS_IN_TABLE: unlimited,
  SQL_MAX_CONNECTIONS: unlimited,
  SQL_MAX_CURSOR_NAME_LENGTH: unlimited,
  SQL_MAX_INDEX_LENGTH: unlimited,
  SQL_DB_SCHEMA_NAME_LENGTH: unlimited,
  SQL_MAX_PROCEDURE_NAME_LENGTH: unlimited,
  SQL_MAX_CATALOG_NAME_LENGTH: unlimited,
  SQL_MAX_ROW_SIZE: unlimited,
  SQL_MAX_ROW_SIZE_INCLUDES_BLOBS: bool(true),
  SQL_MAX_STATEMENT_LENGTH: count(statementCharactersMax),
  SQL_MAX_STATEMENTS: unlimited,
  SQL_MAX_TABLE_NAME_LENGTH: unlimited,
  SQL_MAX_TABLES_IN_SELECT: unlimited,
  SQL_MAX_USERNAME_LENGTH: unlimited,
});

const transactions: Record<string, OneOf> = {
  // The JDBC driver wants a bigint here, where FlightSql.proto says int32: SQL_TRANSACTION_NONE.
  SQL_DEFAULT_TRANSACTION_ISOLATION: count(0),
  SQL_TRANSACTIONS_SUPPORTED: bool(false),
  SQL_SUPPORTED_TRANSACTIONS_ISOLATION_LEVELS: bits(0),
  SQL_DATA_DEFINITION_CAUSES_TRANSACTION_COMMIT: bool(false),
  SQL_DATA_DEFINITIONS_IN_TRANSACTIONS_IGNORED: bool(false),
  SQL_SUPPORTED_RESULT_SET_TYPES: bits(1),
  SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_UNSPECIFIED: bits(),
  SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_FORWARD_ONLY: bits(1),
  SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_SCROLL_SENSITIVE: bits(),
  SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_SCROLL_INSENSITIVE: bits(),
  SQL_BATCH_UPDATES_SUPPORTED: bool(false),
  SQL_SAVEPOINTS_SUPPORTED: bool(false),
  SQL_NAMED_PARAMETERS_SUPPORTED: bool(false),
  SQL_LOCATORS_UPDATE_COPY: bool(false),
  SQL_STORED_FUNCTIONS_USING_CALL_SYNTAX_SUPPORTED: bool(false),
};

/** Of `SqlSupportsConvert`. */
const kinds = {
  numbers: [0, 2, 5, 6, 7, 12, 13, 14, 17],
  texts: [3, 11, 19],
  bytes: [1, 10, 18],
  date: 4,
  time: 15,
  timestamp: 16,
} as const;
const { numbers, texts: characters, bytes, date, time, timestamp } = kinds;
const conversions = new Map<number, number[]>([
  ...numbers.map((kind): [number, number[]] => [kind, [...numbers, ...characters]]),
  ...characters.map((kind): [number, number[]] => [kind, [...numbers, ...characters, ...bytes, date, time, timestamp]]),
  ...bytes.map((kind): [number, number[]] => [kind, [...bytes, ...characters]]),
  [date, [date, timestamp, ...characters]],
  [time, [time, ...characters]],
  [timestamp, [date, time, timestamp, ...characters]],
]);

/** CommandGetSqlInfo: what is asked for, or everything. Null values, such as versions of Substrait, are left out. */
export function sqlInfoRows(
  facts: InfoFacts,
  numbers: Readonly<Record<string, number>>,
  asked: readonly number[],
): Row[] {
  const known = { ...server(facts), ...syntax(facts), ...limits(facts), ...transactions };
  return Object.entries(known)
    .map(([name, value]) => ({ info_name: numbers[name] as number, value }))
    .filter(({ info_name }) => asked.length === 0 || asked.includes(info_name))
    .sort((a, b) => a.info_name - b.info_name);
}

/** A function belongs to the sort of its values: DuckDB's own categories leave most of them out. */
const wordsSql = `
  WITH overloads AS (
    SELECT upper(function_name) AS name, parameter_types[1] AS takes, coalesce(return_type, '') AS answers,
      list_concat(parameter_types, [answers]) && ['DATE', 'TIME', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'INTERVAL'] AS timely
    FROM duckdb_functions()
    WHERE function_type IN ('scalar', 'macro') AND regexp_full_match(function_name, '[a-z][a-z0-9_]*') AND NOT starts_with(function_name, 'icu_')
  ), functions AS (
    SELECT name, CASE
      WHEN name = 'VERSION' OR starts_with(name, 'CURRENT_') AND NOT bool_or(timely) THEN 'system'
      WHEN bool_or(takes IN ('DOUBLE', 'FLOAT', 'DECIMAL', 'HUGEINT', 'TINYINT') AND answers NOT IN ('INTERVAL', 'VARCHAR')) THEN 'numeric'
      WHEN bool_or(timely) THEN 'datetime'
      WHEN bool_or(takes = 'VARCHAR') THEN 'string' END AS sort
    FROM overloads GROUP BY name
  )
  SELECT to_json({
    keywords: (SELECT list(DISTINCT upper(keyword_name) ORDER BY upper(keyword_name)) FROM duckdb_keywords()),
    ${['numeric', 'string', 'datetime', 'system'].map((sort) => `${sort}: list(name ORDER BY name) FILTER (sort = '${sort}')`).join(', ')}
  })::VARCHAR FROM functions`;

/** Without the functions that statements may not call. */
export async function duckdbWords(reader: Pick<Reader, 'text'>): Promise<Words> {
  const { keywords, ...functions } = JSON.parse(await reader.text(wordsSql, [])) as Words;
  const served = (names: readonly string[]) =>
    names.filter((name) => !['refused', null].includes(functionClass(name.toLowerCase())));
  const { numeric, string, datetime, system } = functions;
  return {
    ...{ keywords, numeric: served(numeric), string: served(string) },
    ...{ datetime: served(datetime), system: served(system) },
  };
}
