import { DomainError } from '../../domain/errors.js';
import type { Instant } from '../../domain/ids.js';
import { toMicros } from '../../domain/instants.js';
import type { OnlineColumn, OnlineShape, OnlineStatus, OnlineValue } from '../../domain/online.js';
import { keyText, valueOf } from '../../domain/online-values.js';
import type { JoinedView } from '../../domain/references.js';
import type { OnlineRow } from '../../store/online.js';

type Entities = Readonly<Record<string, readonly OnlineValue[]>>;

const entitiesMax = 10_000;

/** How many entities are asked for; without a column, one: whatever holds for everybody. */
export function lengthOf(entities: Entities): number {
  const lengths = Object.entries(entities).map(([name, values]) => [name, values.length] as const);
  const [first] = lengths;
  if (!first) return 1;
  const other = lengths.find(([, length]) => length !== first[1]);
  if (other) {
    const message = `The columns of entities must be equally long: ${first[0]} has ${first[1]} values, ${other[0]} has ${other[1]}.`;
    throw new DomainError('request_invalid', message, { lengths: Object.fromEntries(lengths) });
  }
  if (first[1] > entitiesMax)
    throw new DomainError(
      'request_too_large',
      `${first[1]} entities are asked for; at most ${entitiesMax} are answered.`,
    );
  return first[1];
}

/** The key of each entity in this view; null where a value is NULL, which no row has. */
export function keysOf(
  { name, view, keys: renamed }: JoinedView,
  { keys }: OnlineShape,
  entities: Entities,
  count: number,
): (string | null)[] {
  const strange = Object.keys(renamed).filter((key) => !keys.some((one) => one.name === key));
  if (strange.length > 0) {
    const message = `The join "${name}" maps ${strange.join(', ')}, but the keys of "${view}" are ${keys.map((key) => key.name).join(', ') || 'none'}.`;
    throw new DomainError('join_invalid', message, { join: name, unknown: strange });
  }
  const columns = keys.map((key) => {
    const column = renamed[key.name] ?? key.name;
    const values = Object.hasOwn(entities, column) ? entities[column] : undefined;
    if (!values) {
      const message = `entities lacks the column "${column}", which is ${column === key.name ? 'a key' : `the key "${key.name}"`} of the view "${view}".`;
      throw new DomainError('request_invalid', message, { column, view });
    }
    return values.map((value, row) => checked(key.type, value, `entities.${column}.${row}`));
  });
  return Array.from({ length: count }, (_, row) => keyText(keys, columns.map((values) => values[row] as OnlineValue))); // prettier-ignore
}

function checked(type: string, value: OnlineValue, field: string): OnlineValue {
  try {
    return valueOf(type, value);
  } catch (error) {
    throw new DomainError('request_invalid', `${field}: ${(error as Error).message}.`, { field });
  }
}

export interface Asked {
  /** The instant that ages are measured to. */
  readonly at: Instant;
  /** The same when it was asked for: then what could not be known by then is not there. */
  readonly asOf: Instant | undefined;
  readonly expired: 'null' | 'value';
}

interface Found {
  readonly eventTime: Instant;
  readonly values: readonly OnlineValue[];
  readonly expired: boolean;
}

/** The view's columns of an answer. Columns whose statuses are alike share one array: the text of an answer is made of it once. */
export function answerColumns(
  { name, view, features }: JoinedView,
  shape: OnlineShape,
  keys: readonly (string | null)[],
  rows: readonly OnlineRow[],
  asked: Asked,
): OnlineColumn[] {
  const byKey = new Map(rows.map((row) => [row.key, found(row, shape, asked)]));
  const entities = keys.map((key) => (key === null ? null : (byKey.get(key) ?? null)));
  const eventTimes = entities.map((one) => one?.eventTime ?? null);
  const plain = entities.map((one) => statusOf(one));
  return features.map((feature) => {
    const at = shape.features.findIndex((one) => one.name === feature);
    const column = shape.features[at];
    if (!column) throw unknownFeature(view, feature, shape);
    const values = entities.map((one) => (one === null ? null : (one.values[at] as OnlineValue)));
    const hasNulls = entities.some((one, row) => one !== null && !one.expired && values[row] === null);
    const statuses = hasNulls ? entities.map((one, row) => statusOf(one, values[row])) : plain;
    const shown =
      asked.expired === 'value' ? values : values.map((value, row) => (entities[row]?.expired ? null : value));
    return { ref: `${name}:${feature}`, type: column.type, values: shown, statuses, eventTimes };
  });
}

/** Null when the row could not be known at the instant that was asked for: it would have been another's answer. */
function found(row: OnlineRow, { ttlMicros }: OnlineShape, { at, asOf }: Asked): Found | null {
  if (asOf !== undefined && (row.eventTime > asOf || row.knownAt > asOf)) return null;
  const expired = ttlMicros !== null && toMicros(at) - toMicros(row.eventTime) > ttlMicros;
  return { eventTime: row.eventTime, values: JSON.parse(row.features) as OnlineValue[], expired };
}

function statusOf(one: Found | null, value?: OnlineValue): OnlineStatus {
  if (one === null) return 'NOT_FOUND';
  if (one.expired) return 'OUTSIDE_MAX_AGE';
  return value === null ? 'NULL_VALUE' : 'PRESENT';
}

function unknownFeature(view: string, feature: string, { features }: OnlineShape): DomainError {
  const known = features.map((one) => one.name);
  return new DomainError('reference_unknown', `View "${view}" has no feature ${feature}; it has ${known.join(', ')}.`, {
    view,
    unknown: [feature],
    known,
  });
}
