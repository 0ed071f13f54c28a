import { DomainError } from '../domain/errors.js';
import type { Column } from '../domain/features.js';
import type { JoinView } from './point-in-time.js';

/**
 * Throws `join_invalid` when the spine lacks a column that a view's keys are compared with, or has it in a type whose values
 * cannot equal the key's, or when its instants are none: in the words of resources, before DuckDB says it in its own.
 */
export function requireFit(spine: readonly Column[], eventTime: string, views: readonly JoinView[]): void {
  const find = (name: string) => spine.find((column) => column.name.toLowerCase() === name.toLowerCase());
  const listed = spine.map(({ name }) => name).join(', ');
  const at = find(eventTime);
  if (!at || familyOf(at.type) !== 'instant')
    throw new DomainError(
      'join_invalid',
      at
        ? `The spine's event time "${eventTime}" is ${at.type}; it must be a TIMESTAMP.`
        : `The spine has no column "${eventTime}" for its event time; it has ${listed}.`,
      { column: eventTime },
    );
  for (const { name, keys } of views)
    for (const key of keys) {
      const data = { join: name, key: key.column, column: key.spine };
      const compared = `key "${key.column}" of "${name}" is compared with`;
      const column = find(key.spine);
      if (!column)
        throw new DomainError('join_invalid', `The spine has no column "${key.spine}", which ${compared}; it has ${listed}.`, data); // prettier-ignore
      if (familyOf(column.type) !== familyOf(key.type) || isRounded(column.type, key.type))
        throw new DomainError('join_invalid', `The spine's "${key.spine}" is ${column.type}, but ${compared} it and is ${key.type}: cast it in the spine.`, data); // prettier-ignore
    }
}

/** How many digits of a number every value of the key's floating-point type tells apart. */
const digitsOf: Readonly<Record<string, number>> = { FLOAT: 6, DOUBLE: 15 };
const digitsOfWhole: Readonly<Record<string, number>> = {
  ...{ INTEGER: 10, UINTEGER: 10, BIGINT: 19, UBIGINT: 20, HUGEINT: 39, UHUGEINT: 39 },
};

/**
 * Numbers with more digits than the key's floating-point type tells apart: two of them would be equal to one key. The other way
 * round the join compares whole numbers.
 */
function isRounded(spine: string, key: string): boolean {
  const digits = digitsOfWhole[spine] ?? Number(/^DECIMAL\((\d+),/.exec(spine)?.[1] ?? 0);
  return digits > (digitsOf[key] ?? Infinity);
}

/** Values of one family can be equal; DuckDB would cast across families, and fail at the first row that does not cast. */
function familyOf(type: string): string {
  if (/^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\))$/.test(type)) return 'number';
  if (type === 'DATE' || type.startsWith('TIMESTAMP')) return 'instant';
  return type === 'VARCHAR' || type.startsWith('ENUM') ? 'text' : type;
}

/** DuckDB does not tell upper from lower case in names. */
export function requireDistinct(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name.toLowerCase())) {
      const message = `Two columns would be called "${name}": those of the spine, the features, and "split" when it is divided.`;
      throw new DomainError('feature_names_collide', message, { column: name });
    }
    seen.add(name.toLowerCase());
  }
}
