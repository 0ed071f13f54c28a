import { createHmac } from 'node:crypto';
import type { Column } from './features.js';
import type { ProjectName } from './ids.js';

/** What has to stay erased: digests of keys, which recognise a key that comes again and say nothing to whoever reads them. */
export interface Tombstones {
  readonly project: ProjectName;
  readonly entity: string;
  readonly digests: readonly string[];
  /** Only read when there is a digest to compare with. */
  readonly secret: Buffer | null;
  /** Of all tombstones of the project when these were read: what was computed with them is committed under no newer one. */
  readonly newest: number;
}

/** What is digested: the key as the online store writes it, under its entity's name. */
export const digestedPrefix = (project: string, entity: string): string => `${project}/${entity}/`;

export function keyDigest(
  secret: Buffer,
  { project, entity }: { readonly project: ProjectName; readonly entity: string },
  text: string,
): string {
  return createHmac('sha256', secret)
    .update(`${digestedPrefix(project, entity)}${text}`)
    .digest('hex');
}

/**
 * The names that the columns of a key had in another revision of its Entity, in the order of the key; null when it was another
 * key: then nobody can say which rows were its. A column that was renamed has the place and the type that it had.
 */
export function namesThen(keys: readonly Column[], then: readonly Column[]): readonly string[] | null {
  const names = new Set(keys.map(({ name }) => name));
  const same =
    keys.length === then.length &&
    then.every(({ name, type }, at) => type === keys[at]?.type && (name === keys[at].name || !names.has(name)));
  return same ? then.map(({ name }) => name) : null;
}
