import { DomainError } from '../../domain/errors.js';

/** A node of DuckDB's parse tree. */
export type Node = Record<string, unknown>;

/** What stands in a field: nodes of a family (one, or any depth of lists of them), or what holds no node. */
export type Family =
  | 'expression'
  | 'table'
  | 'query'
  | 'modifier'
  | 'statement'
  | 'ctes'
  | 'cte'
  | 'declaration'
  | 'check'
  | 'order'
  | 'replacement'
  | 'pivot'
  | 'entry'
  | 'at';
type Fields = Readonly<Record<string, Family | 'plain'>>;

const plain = (...names: string[]): Fields => Object.fromEntries(names.map((name) => [name, 'plain' as const]));
const expressions = (...names: string[]): Fields =>
  Object.fromEntries(names.map((name) => [name, 'expression' as const]));

const inExpression = plain('class', 'type', 'alias', 'query_location');
const inTable = plain('type', 'alias', 'sample', 'query_location');
const inQuery = { type: 'plain', modifiers: 'modifier', cte_map: 'ctes' } as const;
const calls = plain('function_name', 'schema', 'catalog', 'distinct');

/**
 * Everything that a parse tree of DuckDB may consist of here: family, kind, field. A kind or a field that a later version adds
 * is refused until somebody has read what it does.
 */
const grammar: Readonly<Record<Family, Readonly<Record<string, Fields>>>> = {
  expression: {
    BETWEEN: { ...inExpression, ...expressions('input', 'lower', 'upper') },
    CASE: { ...inExpression, case_checks: 'check', else_expr: 'expression' },
    CAST: { ...inExpression, ...expressions('child'), ...plain('cast_type', 'try_cast') },
    COLLATE: { ...inExpression, ...expressions('child'), ...plain('collation') },
    COLUMN_REF: { ...inExpression, ...plain('column_names') },
    COMPARISON: { ...inExpression, ...expressions('left', 'right') },
    CONJUNCTION: { ...inExpression, ...expressions('children') },
    CONSTANT: { ...inExpression, ...plain('value') },
    FUNCTION: {
      ...{ ...inExpression, ...calls, ...expressions('children', 'filter'), ...plain('is_operator') },
      ...{ export_state: 'plain', order_bys: 'modifier' },
    },
    LAMBDA: { ...inExpression, ...expressions('lhs', 'expr') },
    OPERATOR: { ...inExpression, ...expressions('children') },
    PARAMETER: { ...inExpression, ...plain('identifier') },
    POSITIONAL_REFERENCE: { ...inExpression, ...plain('index') },
    STAR: {
      ...{ ...inExpression, ...plain('relation_name', 'exclude_list', 'qualified_exclude_list', 'rename_list') },
      ...{ ...plain('columns'), ...expressions('expr'), replace_list: 'replacement' },
    },
    SUBQUERY: {
      ...{ ...inExpression, ...plain('subquery_type', 'comparison_type') },
      ...{ child: 'expression', subquery: 'statement' },
    },
    WINDOW: {
      ...{ ...inExpression, ...calls, ...plain('start', 'end', 'ignore_nulls', 'exclude_clause') },
      ...expressions('children', 'partitions', 'start_expr', 'end_expr', 'offset_expr', 'default_expr', 'filter_expr'),
      ...{ orders: 'order', arg_orders: 'order' },
    },
  },
  table: {
    BASE_TABLE: {
      ...{ ...inTable, ...plain('catalog_name', 'schema_name', 'table_name', 'column_name_alias') },
      at_clause: 'at',
    },
    EMPTY: inTable,
    EXPRESSION_LIST: { ...inTable, ...plain('expected_names', 'expected_types'), values: 'expression' },
    JOIN: {
      ...{ ...inTable, left: 'table', right: 'table', condition: 'expression' },
      ...plain('join_type', 'ref_type', 'using_columns', 'delim_flipped'),
      duplicate_eliminated_columns: 'expression',
    },
    PIVOT: {
      ...{ ...inTable, source: 'table', aggregates: 'expression', pivots: 'pivot' },
      ...plain('unpivot_names', 'groups', 'column_name_alias', 'include_nulls'),
    },
    SHOW_REF: { ...inTable, ...plain('catalog_name', 'schema_name', 'table_name', 'show_type'), query: 'query' },
    SUBQUERY: { ...inTable, ...plain('column_name_alias'), subquery: 'statement' },
    TABLE_FUNCTION: { ...inTable, ...plain('column_name_alias', 'with_ordinality'), function: 'expression' },
  },
  query: {
    SELECT_NODE: {
      ...{ ...inQuery, from_table: 'table', ...plain('group_sets', 'aggregate_handling', 'sample') },
      ...expressions('select_list', 'where_clause', 'group_expressions', 'having', 'qualify'),
    },
    SET_OPERATION_NODE: { ...inQuery, ...plain('setop_type', 'setop_all'), left: 'query', right: 'query' },
    RECURSIVE_CTE_NODE: {
      ...{ ...inQuery, ...plain('cte_name', 'union_all', 'aliases') },
      ...{ left: 'query', right: 'query', key_targets: 'expression' },
    },
  },
  modifier: {
    LIMIT_MODIFIER: { type: 'plain', ...expressions('limit', 'offset') },
    LIMIT_PERCENT_MODIFIER: { type: 'plain', ...expressions('limit', 'offset') },
    ORDER_MODIFIER: { type: 'plain', orders: 'order' },
    DISTINCT_MODIFIER: { type: 'plain', ...expressions('distinct_on_targets') },
  },
  statement: { '': { node: 'query', named_param_map: 'plain' } },
  ctes: { '': { map: 'cte' } },
  cte: { '': { key: 'plain', value: 'declaration' } },
  declaration: { '': { ...plain('aliases', 'materialized'), query: 'statement', key_targets: 'expression' } },
  check: { '': expressions('when_expr', 'then_expr') },
  order: { '': { ...plain('type', 'null_order'), expression: 'expression' } },
  replacement: { '': { key: 'plain', value: 'expression' } },
  pivot: { '': { ...plain('unpivot_names'), pivot_expressions: 'expression', entries: 'entry' } },
  entry: { '': { ...plain('values', 'alias'), star_expr: 'expression' } },
  at: { '': { unit: 'plain', expr: 'expression' } },
};

export interface Part {
  readonly field: string;
  readonly family: Family;
  readonly value: unknown;
}

/** What its class or type says; families of one kind have none. */
export const kindOf = (node: Node, family: Family): string => {
  if (family === 'expression') return String(node['class']);
  return '' in grammar[family] ? '' : String(node['type']);
};

/** The fields that hold nodes. Throws `statement_refused` for what is not in the table above. */
export function partsOf(node: Node, family: Family): Part[] {
  const kind = kindOf(node, family);
  const kinds = grammar[family];
  const fields = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (fields === undefined) throw unknown(kind);
  return Object.entries(node).flatMap(([field, value]) => {
    if (isEmpty(value)) return [];
    const content = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (content === undefined) throw unknown(`${kind || family}.${field}`);
    return content === 'plain' ? [] : [{ field, family: content, value }];
  });
}

const isEmpty = (value: unknown): boolean =>
  value === null || value === '' || value === false || (Array.isArray(value) && value.length === 0);

const unknown = (what: string): DomainError =>
  new DomainError('statement_refused', `It has a part that is not served here: ${what}.`, { part: what });
