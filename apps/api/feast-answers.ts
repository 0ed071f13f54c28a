import type { Join } from '../../domain/names.js';
import type { OnlineAnswer, OnlineColumn, OnlineValue } from '../../domain/online.js';
import { mistake } from './feast-errors.js';
import { partsOf, viewOf, type Declared, type Selection } from './feast-registry.js';
import { feastJson, feastTime, fromFeast } from './feast-values.js';

/** A column of the request that the answer begins with, in our values. */
export interface KeyColumn {
  readonly name: string;
  readonly type: string;
  readonly values: readonly OnlineValue[];
}

/**
 * The columns of the request that are join keys, of whatever Entity, or that a join of the selection compares with a key;
 * others are ignored. The name of an Entity stands for its one key.
 */
export function keyColumns(
  declared: Declared,
  selection: Selection,
  entities: Readonly<Record<string, readonly unknown[]>>,
): KeyColumn[] {
  const lengths = new Set(Object.values(entities).map((values) => values.length));
  if (lengths.size > 1) throw mistake('All entity rows must have the same columns.');
  const types = keyTypes(declared, selection);
  const columns = Object.entries(entities).flatMap(([given, values]) => {
    const name = types.has(given) ? given : (onlyKey(declared, given) ?? given);
    const type = types.get(name);
    return type === undefined ? [] : [{ name, type, values: values.map((value) => fromFeast(type, value)) }];
  });
  requireKeys(declared, selection, columns);
  return columns;
}

/** The types of all keys by the column that they are asked with; what the selection's own views say goes first. */
function keyTypes(declared: Declared, selection: Selection): Map<string, string> {
  const types = new Map<string, string>();
  for (const { spec } of declared.entities.values()) for (const { name, type } of spec.keys) types.set(name, type);
  for (const { column, type } of wantedKeys(declared, selection)) types.set(column, type);
  return types;
}

function onlyKey({ entities }: Declared, name: string): string | null {
  const keys = entities.get(name)?.spec.keys ?? [];
  return keys.length === 1 ? (keys[0]?.name ?? null) : null;
}

/** The keys of the views that are read, under the columns that they are asked with. */
function wantedKeys(declared: Declared, selection: Selection): { column: string; type: string }[] {
  const names = new Set(selection.refs.map((ref) => partsOf(ref).name));
  return [...names].flatMap((name) => {
    const { spec } = viewOf(declared, selection, name);
    const renamed: Join['keys'] = selection.joins.find((join) => join.name === name)?.keys ?? {};
    const keys = spec.entity === undefined ? [] : (declared.entities.get(spec.entity)?.spec.keys ?? []);
    return keys.map(({ name: key, type }) => ({ column: renamed[key] ?? key, type }));
  });
}

function requireKeys(declared: Declared, selection: Selection, given: readonly KeyColumn[]): void {
  const wanted = [...new Set(wantedKeys(declared, selection).map(({ column }) => column))];
  const missing = wanted.filter((column) => !given.some(({ name }) => name === column));
  if (missing.length === 0) return;
  const list = (names: readonly string[]) => `[${names.map((name) => `'${name}'`).join(', ')}]`;
  throw mistake(
    `Missing join key values for keys: ${list(missing)}. Provided join_key_values: ${list(given.map(({ name }) => name))}`,
  );
}

interface Shown {
  readonly full_feature_names: boolean;
  readonly include_feature_view_version_metadata: boolean;
}

/** Feast's answer as JSON: one entry a column, arrays over the entities; first the join keys, as if of 1970, then the features. */
export function answerText(keys: readonly KeyColumn[], answer: OnlineAnswer, shown: Shown): string {
  const arrays = new Map<readonly unknown[], string>();
  /** Columns of one view share their statuses and times: their text is made once. */
  const once = <Item>(items: readonly Item[], text: (item: Item) => string): string => {
    const known = arrays.get(items);
    if (known !== undefined) return known;
    const made = `[${items.map(text).join(',')}]`;
    arrays.set(items, made);
    return made;
  };
  const column = ({ type, values, statuses, eventTimes }: Omit<OnlineColumn, 'ref'>) =>
    `{"values":[${values.map((value) => feastJson(type, value)).join(',')}],"statuses":${once(statuses, quoted)},"event_timestamps":${once(eventTimes, feastTime)}}`;
  const present = (keys[0]?.values ?? []).map(() => 'PRESENT' as const);
  const never = present.map(() => null);
  const results = [
    ...keys.map(({ type, values }) => column({ type, values, statuses: present, eventTimes: never })),
    ...answer.columns.map(column),
  ];
  const names = answer.columns.map(({ ref }) =>
    shown.full_feature_names ? ref.replace(':', '__') : partsOf(ref).feature,
  );
  const metadata = {
    feature_names: [...keys.map(({ name }) => name), ...names],
    ...(shown.include_feature_view_version_metadata ? { feature_view_metadata: versionsOf(answer) } : {}),
  };
  return `{"results":[${results.join(',')}],"metadata":${JSON.stringify(metadata)}}`;
}

const quoted = (text: string): string => `"${text}"`;

/** Which revision of each view was read, where Feast has the number of its version. */
const versionsOf = ({ generations }: OnlineAnswer) =>
  generations.map(({ view, revision }) => ({ name: view, version: revision }));
