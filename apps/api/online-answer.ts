import { DomainError } from '../../domain/errors.js';
import type { Instant } from '../../domain/ids.js';
import { toMicros } from '../../domain/instants.js';
import type { OnlineGeneration, OnlineShape, OnlineStatus, OnlineValue } from '../../domain/online.js';
import { keyText, valueOf } from '../../domain/online-values.js';
import type { JoinedView } from '../../domain/references.js';
import type { OnlineRow } from '../../store/online.js';
import { RowValues, type JsonBytes } from './online-bytes.js';

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

/** One entity as an answer shows it. */
interface Shown {
  /** The place of its row among those that were read, -1 where nothing was found. */
  readonly row: number;
  readonly eventTime: Instant | null;
  readonly expired: boolean;
}

/** What was read of one view under one name, for every entity: its columns share rows, statuses and times. */
export interface ReadView {
  readonly entities: readonly Shown[];
  readonly values: RowValues;
  /** Of entities whose value is not NULL. */
  readonly statuses: readonly OnlineStatus[];
  readonly showsExpired: boolean;
}

/** A column of an answer before its values were written: they are still within the texts of their rows. */
export interface ReadColumn {
  /** As it was asked, `view:feature`. */
  readonly ref: string;
  /** DuckDB's name of the values' type. */
  readonly type: string;
  /** The value's place in a row. */
  readonly place: number;
  readonly view: ReadView;
}

export interface OnlineRead {
  readonly columns: readonly ReadColumn[];
  readonly generations: readonly OnlineGeneration[];
}

/** The rows of a view that were read, whatever it is joined as. */
export interface StoredRows {
  readonly rows: readonly OnlineRow[];
  readonly values: RowValues;
}

export const storedRows = (rows: readonly OnlineRow[], { features }: OnlineShape): StoredRows => ({
  rows,
  values: new RowValues(
    rows.map((row) => row.features),
    features.length,
  ),
});

/** The view's columns of an answer. */
export function readColumns(
  { name, view, features }: JoinedView,
  shape: OnlineShape,
  keys: readonly (string | null)[],
  { rows, values }: StoredRows,
  asked: Asked,
): ReadColumn[] {
  const byKey = new Map(rows.map((row, at) => [row.key, shown(row, at, shape, asked)]));
  const entities = keys.map((key) => (key === null ? undefined : byKey.get(key)) ?? nowhere);
  const read: ReadView = {
    entities,
    values,
    statuses: entities.map(({ row, expired }) => (row < 0 ? 'NOT_FOUND' : expired ? 'OUTSIDE_MAX_AGE' : 'PRESENT')),
    showsExpired: asked.expired === 'value',
  };
  return features.map((feature) => {
    const place = shape.features.findIndex((one) => one.name === feature);
    const column = shape.features[place];
    if (!column) throw unknownFeature(view, feature, shape);
    return { ref: `${name}:${feature}`, type: column.type, place, view: read };
  });
}

const nowhere: Shown = { row: -1, eventTime: null, expired: false };

/** Nowhere when the row could not be known at the instant that was asked for: it would have been another's answer. */
function shown(row: OnlineRow, at: number, { ttlMicros }: OnlineShape, { at: now, asOf }: Asked): Shown {
  if (asOf !== undefined && (row.eventTime > asOf || row.knownAt > asOf)) return nowhere;
  const expired = ttlMicros !== null && toMicros(now) - toMicros(row.eventTime) > ttlMicros;
  return { row: at, eventTime: row.eventTime, expired };
}

/** The statuses of the column: those of its view, but for what is NULL. */
export function statusesOf({ place, view: { entities, values, statuses } }: ReadColumn): readonly OnlineStatus[] {
  const isNull = ({ row, expired }: Shown) => row >= 0 && !expired && values.isNull(row, place);
  if (!entities.some(isNull)) return statuses;
  return entities.map((one, at) => (isNull(one) ? 'NULL_VALUE' : (statuses[at] as OnlineStatus)));
}

/** Writes the column's values with commas between them; `write` puts down one that is there. */
export function writeValues(
  json: JsonBytes,
  { place, view: { entities, values, showsExpired } }: ReadColumn,
  write: (json: JsonBytes, bytes: Buffer, start: number, end: number) => void,
): void {
  const { bytes } = values;
  let isFirst = true;
  for (const { row, expired } of entities) {
    if (!isFirst) json.byte(comma);
    isFirst = false;
    if (row < 0 || (expired && !showsExpired)) json.all(nullBytes);
    else write(json, bytes, values.start(row, place), values.end(row, place));
  }
}

/** About how many bytes an answer takes; it may take more. */
export const answerBytesOf = (columns: readonly ReadColumn[]): number =>
  Math.min(columns.length * (100 + (columns[0]?.view.entities.length ?? 0) * 64), 16 * 2 ** 20);

const comma = 0x2c;
const nullBytes = Buffer.from('null');

function unknownFeature(view: string, feature: string, { features }: OnlineShape): DomainError {
  const known = features.map((one) => one.name);
  return new DomainError('reference_unknown', `View "${view}" has no feature ${feature}; it has ${known.join(', ')}.`, {
    view,
    unknown: [feature],
    known,
  });
}
