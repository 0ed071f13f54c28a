import { blobValue } from '@duckdb/node-api';
import { digestedPrefix, type Tombstones } from '../domain/erasure.js';
import type { Column } from '../domain/features.js';
import { quoteName, quoteText, type Session } from './duckdb.js';
import { keyText } from './online.js';

const blockBytes = 64;
const padded = (secret: Buffer, byte: number): Buffer => {
  const block = Buffer.alloc(blockBytes);
  secret.copy(block);
  return block.map((one) => one ^ byte) as Buffer;
};

/**
 * The keys of a relation that were erased, as a temporary table with the keys' columns; null when nothing was. The digest is
 * HMAC-SHA256, written in SQL; its key goes in as a value, so that no text of a query holds it. Each key is digested once.
 */
export async function findErased(
  session: Session,
  { project, entity, digests, secret }: Tombstones,
  relation: string,
  keys: readonly Column[],
): Promise<string | null> {
  if (secret === null || digests.length === 0) return null;
  const [pads, erased, found] = ['eider_pads', 'eider_digests', `eider_erased_${entity}`] as const;
  await session.run(`CREATE OR REPLACE TEMP TABLE ${pads} AS SELECT $inner::BLOB AS inside, $outer::BLOB AS outside`, {
    inner: blobValue(padded(secret, 0x36)),
    outer: blobValue(padded(secret, 0x5c)),
  });
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${erased} AS SELECT unnest(from_json($digests::JSON, '["VARCHAR"]')) AS digest`,
    { digests: JSON.stringify(digests) },
  );
  const names = keys.map(({ name }) => quoteName(name)).join(', ');
  const text = `${quoteText(digestedPrefix(project, entity))} || ${keyText(keys)}`;
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${quoteName(found)} AS SELECT ${names} FROM (SELECT DISTINCT ${names} FROM ${relation}) AS k, ${pads}
     WHERE sha256(outside || unhex(sha256(inside || encode(${text})))) IN (SELECT digest FROM ${erased})`,
  );
  await session.run(`DROP TABLE ${pads}`);
  const [count] = await session.rows<{ rows: number }>(`SELECT count(*)::INTEGER AS rows FROM ${quoteName(found)}`);
  return count?.rows ? quoteName(found) : null;
}

/** Takes erased keys out of a temporary table of ours. */
export async function deleteErased(
  session: Session,
  tombstones: Tombstones,
  table: string,
  keys: readonly Column[],
): Promise<void> {
  const found = await findErased(session, tombstones, table, keys);
  if (found === null) return;
  const same = keys.map(({ name }) => `${table}.${quoteName(name)} = erased.${quoteName(name)}`).join(' AND ');
  await session.run(`DELETE FROM ${table} WHERE EXISTS (SELECT 1 FROM ${found} AS erased WHERE ${same})`);
}

/** The relation without the rows of erased keys: itself while there are none. Good until the next such question of the session. */
export async function withoutErasedKeys(
  session: Session,
  tombstones: Tombstones,
  relation: string,
  keys: readonly Column[],
): Promise<string> {
  const found = await findErased(session, tombstones, relation, keys);
  if (found === null) return relation;
  const same = keys.map(({ name }) => `kept.${quoteName(name)} = erased.${quoteName(name)}`).join(' AND ');
  return `(SELECT kept.* FROM ${relation} AS kept ANTI JOIN ${found} AS erased ON ${same})`;
}

/** Columns of a relation that hold an entity's key, in the order of its key columns. */
export type KeyTuple = readonly string[];

/** Rows whose columns are the key, in any of the ways that the relation may hold it; false when it cannot. */
export function holdsKey(
  columns: readonly Column[],
  tuples: readonly KeyTuple[],
  values: readonly string[],
  jsonKey: boolean,
): string {
  const typeOf = new Map(columns.map(({ name, type }) => [name, type]));
  const plain = tuples
    .filter((tuple) => tuple.every((name) => typeOf.has(name)))
    .map((tuple) =>
      tuple.map((name, at) => `${quoteName(name)} = TRY_CAST(${quoteText(values[at] ?? '')} AS ${typeOf.get(name)})`),
    );
  const inJson = tuples.map((tuple) =>
    tuple.map((name, at) => `json_extract_string("key", ${quoteText(`$."${name}"`)}) = ${quoteText(values[at] ?? '')}`),
  );
  const ways = [...plain, ...(jsonKey ? inJson : [])].map((same) => `(${same.join(' AND ')})`);
  return ways.length === 0 ? 'false' : `coalesce(${ways.join(' OR ')}, false)`;
}

/** The log of an endpoint keeps keys as JSON, in a column of that name. */
export const hasJsonKey = (columns: readonly Column[]): boolean =>
  ['request_id', 'key'].every((name) => columns.some((one) => one.name === name && one.type === 'VARCHAR'));
