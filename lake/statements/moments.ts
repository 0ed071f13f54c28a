import { DomainError } from '../../domain/errors.js';
import { instant } from '../../domain/instants.js';
import type { Node } from './grammar.js';
import { isNumeral } from './parse.js';

/** `AT (VERSION => 41)` and `AT (TIMESTAMP => '2026-11-23 10:00:00')` as a table's name says it: `@s41`, `@t2026-11-23T10:00:00Z`. */
export function momentOf(node: Node): string {
  const clause = node['at_clause'] as { readonly unit: string; readonly expr: Node } | null | undefined;
  if (!clause) return '';
  const value = constantOf(clause.expr);
  if (clause.unit.toUpperCase() === 'VERSION' && /^\d{1,9}$/.test(value)) return `@s${value}`;
  if (clause.unit.toUpperCase() === 'TIMESTAMP') return `@t${timeOf(value)}`;
  throw invalid();
}

/** What stands there: a number or a text, perhaps cast. */
function constantOf(expression: Node): string {
  if (expression['class'] === 'CAST') return constantOf(expression['child'] as Node);
  const value = expression['class'] === 'CONSTANT' ? (expression['value'] as { value?: unknown }).value : undefined;
  if (isNumeral(value)) return value.text;
  if (typeof value === 'string') return value;
  throw invalid();
}

function timeOf(text: string): string {
  try {
    return instant(text);
  } catch (error) {
    throw new DomainError(
      'statement_invalid',
      `AT (TIMESTAMP => …) takes an instant, not "${text}".`,
      {},
      { cause: error },
    );
  }
}

const invalid = (): DomainError =>
  new DomainError(
    'statement_invalid',
    "AT takes a constant: AT (VERSION => 41) or AT (TIMESTAMP => '2026-11-23 10:00:00').",
  );
