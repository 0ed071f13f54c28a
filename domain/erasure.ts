import { createHmac } from 'node:crypto';
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
