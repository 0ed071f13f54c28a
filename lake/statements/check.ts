import { DomainError } from '../../domain/errors.js';
import { checkNodes, copiesOf, depthMax, ownNodes, tooLarge } from './expansion.js';
import { clockWords, functionClass, isMacro, tableFunctions } from './functions.js';
import { kindOf, partsOf, type Family, type Node, type Part } from './grammar.js';
import {
  declareCtes,
  outermost,
  recursiveScope,
  renameReference,
  stripQualifier,
  withSources,
  type Scope,
} from './scopes.js';

/** What a statement is made of. */
export interface Checked {
  /** The tables that it names, as nodes of its tree. */
  readonly tables: Node[];
  readonly parameterCount: number;
  /** False when reading it again may give other rows. */
  readonly repeatable: boolean;
}

interface Found {
  readonly tables: Node[];
  readonly parameters: Set<number>;
  repeatable: boolean;
  depth: number;
}

const tablesMax = 64;
const parametersMax = 1_024;

/**
 * Reads the whole tree of a SELECT. Functions that reach beyond the rows are refused; WITHs get names of ours, and columns are
 * named by their tables alone, so that nothing which a client wrote is left to be looked up but tables and columns.
 */
export function checkStatement(tree: Node): Checked {
  const found: Found = { tables: [], parameters: new Set(), repeatable: true, depth: 0 };
  checkNodes(visit(tree, 'statement', outermost(), found));
  const { tables, parameters, repeatable } = found;
  if (tables.length > tablesMax)
    throw new DomainError('statement_too_large', `It names ${tables.length} tables; ${tablesMax} is the limit.`);
  if (parameters.size > parametersMax)
    throw new DomainError('statement_too_large', `It has ${parameters.size} parameters; ${parametersMax} is the limit.`); // prettier-ignore
  for (let number = 1; number <= parameters.size; number++)
    if (!parameters.has(number))
      throw new DomainError('statement_invalid', `Parameters are numbered from $1 on; $${number} is missing.`);
  return { tables, parameterCount: parameters.size, repeatable };
}

/** Answers how many nodes DuckDB will make of it. */
function visit(value: unknown, family: Family, scope: Scope, found: Found): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + visit(one, family, scope, found), 0);
  const node = value as Node;
  const kind = kindOf(node, family);
  if (++found.depth > depthMax) throw tooLarge();
  note(node, kind, scope, found);
  const inside = family === 'query' ? queryScope(node, scope, found) : scope;
  const recursive = kind === 'RECURSIVE_CTE_NODE' ? recursiveScope(node, inside, scope.declaring) : inside;
  const macro = kind === 'FUNCTION' && isMacro(node['function_name']);
  let nodes = ownNodes(family, kind, macro) + standsFor(node, kind, inside);
  for (const part of partsOf(node, family))
    if (part.family === 'ctes' || part.family === 'at')
      continue; // Read with the query, and with the table.
    else if (kind === 'TABLE_FUNCTION' && part.field === 'function') nodes += visitArguments(part, inside, found);
    else {
      const of = part.field === 'right' ? recursive : inside;
      nodes += copiesOf(node, kind, part.field, macro) * visit(part.value, part.family, of, found);
    }
  checkNodes(nodes);
  found.depth--;
  if (family === 'expression' && node['alias']) scope.stands.set(String(node['alias']).toLowerCase(), nodes);
  return nodes;
}

/** What an alias of the same SELECT, or a WITH that is not computed once, stands for. */
function standsFor(node: Node, kind: string, { stands }: Scope): number {
  if (kind === 'BASE_TABLE') return stands.get(`with ${String(node['table_name'])}`) ?? 0;
  const [name, ...more] = kind === 'COLUMN_REF' ? (node['column_names'] as string[]) : [];
  return name === undefined || more.length > 0 ? 0 : (stands.get(name.toLowerCase()) ?? 0);
}

/** What the WITHs of a query and its tables add to what is around it. */
function queryScope(node: Node, around: Scope, found: Found): Scope {
  const declared = declareCtes(node['cte_map'], around, (cte, scope) => visit(cte, 'declaration', scope, found));
  return withSources(node, declared);
}

/** A table function is checked with its node; `partsOf` sees to it that it is a call. */
function visitArguments({ value }: Part, scope: Scope, found: Found): number {
  return partsOf(value as Node, 'expression').reduce(
    (sum, part) => sum + visit(part.value, part.family, scope, found),
    1,
  );
}

/** What a node says by itself, without what is in it. */
function note(node: Node, kind: string, scope: Scope, found: Found): void {
  if (node['sample']) found.repeatable = false;
  switch (kind) {
    case 'BASE_TABLE':
      if (!renameReference(node, scope)) found.tables.push(node);
      break;
    case 'TABLE_FUNCTION':
      noteTableFunction((node['function'] as Node)['function_name']);
      break;
    case 'FUNCTION':
    case 'WINDOW':
      noteFunction(node, found);
      break;
    case 'COLUMN_REF':
      noteColumn(node, scope, found);
      break;
    case 'STAR':
      for (const column of (node['qualified_exclude_list'] ?? []) as Node[])
        Object.assign(column, { catalog: '', schema: '' });
      break;
    case 'PARAMETER':
      noteParameter(String(node['identifier']), found);
      break;
    case 'SHOW_REF':
      noteShow(node);
      break;
  }
}

function noteTableFunction(name: unknown): void {
  if (tableFunctions.has(String(name).toLowerCase())) return;
  throw new DomainError('statement_refused', `The table function ${String(name)} is not served here.`, { name });
}

function noteFunction(node: Node, found: Found): void {
  const name = String(node['function_name']).toLowerCase();
  const known = functionClass(name);
  if (known === null) throw new DomainError('statement_invalid', `There is no function ${name}.`, { name });
  if (known === 'refused' || node['export_state'] === true)
    throw new DomainError('statement_refused', `The function ${name} is not served here: it reaches beyond the rows that are read.`, { name }); // prettier-ignore
  if (known === 'varying') found.repeatable = false;
}

function noteColumn(node: Node, scope: Scope, found: Found): void {
  stripQualifier(node, scope);
  const [name = '', ...more] = node['column_names'] as string[];
  // Written without parentheses these are calls, unless there is a column of the name.
  if (more.length === 0 && clockWords.has(name.toLowerCase())) found.repeatable = false;
}

function noteParameter(identifier: string, found: Found): void {
  if (!/^[1-9]\d{0,4}$/.test(identifier))
    throw new DomainError('statement_invalid', `A parameter is ? or $1, not $${identifier}.`, { identifier });
  found.parameters.add(Number(identifier));
}

/** DESCRIBE and SUMMARIZE are of a query that is read like any other; SHOW asks for the engine's own lists. */
function noteShow(node: Node): void {
  if (['DESCRIBE', 'SUMMARY'].includes(String(node['show_type'])) && node['query']) return;
  throw new DomainError('statement_refused', 'SHOW is not served here; Flight SQL’s metadata calls list schemas and tables.'); // prettier-ignore
}
