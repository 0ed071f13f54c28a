import { DomainError } from '../../domain/errors.js';
import type { Family, Node } from './grammar.js';
import { wordsOf } from './words.js';

/**
 * Some words are short for much: DuckDB's parser copies the operand of a CASE for each WHEN, and its binder copies what a BETWEEN,
 * a macro, an alias or a WITH stands for wherever it is used. Nested, they double again and again, and while DuckDB parses and
 * binds nothing can interrupt it; so how much it would be is counted first.
 */
const tokensMax = 100_000;
const nodesMax = 10_000;
/** Of nodes in one another: binding an expression takes the cube of its depth, and deep joins end the process (DuckDB 1.5). */
export const depthMax = 200;

interface Case {
  operand: number;
  rest: number;
  whens: number;
}

/** Throws `statement_too_large` when the parser would make too many tokens of it; an upper bound is enough. */
export function checkTokens(sql: string): void {
  const cases: Case[] = [{ operand: 0, rest: 0, whens: 1 }];
  let windowUses = 0;
  let tokens = 0;
  let before = '';
  const add = (count: number): void => {
    const inner = cases.at(-1) as Case;
    if (inner.whens === 0) inner.operand += count;
    else inner.rest += count;
  };
  const close = (): void => {
    const { operand, rest, whens } = cases.pop() as Case;
    add(operand * Math.max(1, whens) + rest);
  };
  for (const word of wordsOf(sql)) {
    // Behind these a keyword is a name like any other.
    const upper = ['.', '$', 'AS'].includes(before) ? '' : word.toUpperCase();
    before = word.toUpperCase();
    tokens++;
    // In a macro, which alone has an expression behind its AS.
    if (upper === 'CREATE') throw notServed(upper);
    if (upper === 'CASE') cases.push({ operand: 0, rest: 0, whens: 0 });
    else if (upper === 'WHEN' && cases.length > 1) (cases.at(-1) as Case).whens++;
    else if (upper === 'END' && cases.length > 1) close();
    else add(1);
    if (upper === 'OVER') windowUses++;
  }
  while (cases.length > 1) close();
  // A named WINDOW is copied to each OVER.
  const windows = /\bwindow\b/i.test(sql) ? (windowUses * tokens) / 2 : 0;
  if ((cases[0] as Case).rest + windows > tokensMax) throw tooLarge();
}

/** How often the binder takes what stands in a field. */
export function copiesOf(node: Node, kind: string, field: string, isMacro: boolean): number {
  if (kind === 'BETWEEN' && field === 'input') return 3;
  if (kind === 'LAMBDA' || (kind === 'SUBQUERY' && node['class'])) return 2;
  return isMacro ? 3 : 1;
}

/** What a node is by itself: a macro is as long as its definition. */
export const ownNodes = (family: Family, kind: string, isMacro: boolean): number => {
  if (kind === 'CONSTANT' || kind === 'PARAMETER') return 0.1;
  return isMacro ? 20 : family === 'modifier' ? 0 : 1;
};

export function checkNodes(nodes: number): void {
  if (nodes > nodesMax) throw tooLarge();
}

export const notServed = (word: string): DomainError =>
  new DomainError('statement_refused', `${word} is not served: tables can be read here, by SELECT, and nothing can be changed.`); // prettier-ignore

export const tooLarge = (cause?: unknown): DomainError =>
  new DomainError('statement_too_large', 'Its parts are nested too deeply, or stand for too much.', {}, { cause });
