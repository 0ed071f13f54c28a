import type { Instant } from '../../domain/ids.js';
import type { Join } from '../../domain/names.js';
import type { OnlineValue } from '../../domain/online.js';
import { mistake } from './feast-errors.js';
import { partsOf, viewOf, type Declared, type Selection } from './feast-registry.js';
import { feastJson, feastTime, feastWriter, fromFeast } from './feast-values.js';
import { answerBytesOf, statusesOf, writeValues, type OnlineRead } from './online-answer.js';
import { JsonBytes, SharedBytes } from './online-bytes.js';

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
export function answerBytes(keys: readonly KeyColumn[], { columns, generations }: OnlineRead, shown: Shown): Buffer {
  const json = new JsonBytes(answerBytesOf(columns));
  const shared = new SharedBytes();
  json.text('{"results":[');
  json.text(keys.map(keyText).join(','));
  columns.forEach((column, at) => {
    const { view } = column;
    json.text(at + keys.length > 0 ? ',{"values":[' : '{"values":[');
    writeValues(json, column, feastWriter(column.type));
    const statuses = statusesOf(column);
    json.text('],"statuses":').all(shared.of(statuses, () => arrayText(statuses, quoted)));
    json.text(',"event_timestamps":').all(shared.of(view, () => arrayText(view.entities, timeOf)));
    json.text('}');
  });
  const names = columns.map(({ ref }) => (shown.full_feature_names ? ref.replace(':', '__') : partsOf(ref).feature));
  const metadata = {
    feature_names: [...keys.map(({ name }) => name), ...names],
    ...(shown.include_feature_view_version_metadata ? { feature_view_metadata: versionsOf(generations) } : {}),
  };
  return json.text(`],"metadata":${JSON.stringify(metadata)}}`).bytes();
}

const keyText = ({ type, values }: KeyColumn): string =>
  `{"values":${arrayText(values, (value) => feastJson(type, value))},"statuses":${arrayText(values, () => '"PRESENT"')},"event_timestamps":${arrayText(values, () => feastTime(null))}}`;
const arrayText = <Item>(items: readonly Item[], text: (item: Item) => string): string =>
  `[${items.map(text).join(',')}]`;
const timeOf = ({ eventTime }: { readonly eventTime: Instant | null }): string => feastTime(eventTime);
const quoted = (text: string): string => `"${text}"`;

/** Which revision of each view was read, where Feast has the number of its version. */
const versionsOf = (generations: OnlineRead['generations']) =>
  generations.map(({ view, revision }) => ({ name: view, version: revision }));
