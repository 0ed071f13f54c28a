import { namesThen } from './erasure.js';
import type { OnlineShape } from './online.js';

/** What a revision of a view took over of the rows that had been pushed to another one. */
export interface HandOver {
  readonly revision: number;
  /** Of the other revision: the files of this snapshot were looked at; 0: it has none. */
  readonly snapshot: number;
  /** Rows that were taken over. */
  readonly rows: number;
  /** Rows that neither readers nor joins of this revision see. */
  readonly left: number;
  /** Why rows are left; null: all of them can be read. */
  readonly why: string | null;
}

/** What rows mean, and whose they are: the keys of one entity are no keys of another, and an erasure looks for them apart. */
export interface EntityShape extends OnlineShape {
  readonly entity: string | null;
}

export const ofEntity = (shape: OnlineShape, { entity = null }: { readonly entity?: string | undefined | null }): EntityShape => ({ ...shape, entity }); // prettier-ignore

/** Which features of the rows are taken, by their place from 1 on, in the order of those that take them; or why none can be. */
export type Fit = { readonly features: readonly number[]; readonly why: null } | { readonly why: string };

/**
 * Whether rows that were pushed in one shape can be read in another without loss: keys of the same entity, under whatever names, a known-at
 * where there was one, and each feature by its name, of its type or of one that has all of its values.
 */
export function fitOf(pushed: EntityShape, wanted: EntityShape): Fit {
  if (pushed.entity !== wanted.entity)
    return { why: `its entity is ${pushed.entity ?? 'none'}, not ${wanted.entity ?? 'none'}` };
  if (!sameKeys(pushed, wanted)) return { why: `its keys are ${told(pushed.keys)}, not ${told(wanted.keys)}` };
  if (pushed.knownAt !== null && wanted.knownAt === null)
    return { why: `its rows have the known-at "${pushed.knownAt}", which would be lost` };
  const features: number[] = [];
  for (const { name, type } of wanted.features) {
    const at = pushed.features.findIndex((one) => one.name === name);
    const given = pushed.features[at]?.type;
    if (given === undefined) return { why: `it has no feature "${name}"` };
    if (!holds(type, given)) return { why: `its feature "${name}" is ${given}, not ${type}` };
    features.push(at + 1);
  }
  return { features, why: null };
}

/** Columns may have been renamed. */
export const sameKeys = (pushed: EntityShape, wanted: EntityShape): boolean =>
  pushed.entity === wanted.entity && namesThen(wanted.keys, pushed.keys) !== null;

const told = (keys: OnlineShape['keys']): string =>
  keys.map(({ name, type }) => `${name} ${type}`).join(', ') || 'none';

/** Types that have every value of the type. Times without a zone are UTC, so both kinds of timestamp are the same instants. */
const wider: Readonly<Record<string, readonly string[]>> = {
  TINYINT: ['SMALLINT', 'INTEGER', 'BIGINT', 'FLOAT', 'DOUBLE'],
  SMALLINT: ['INTEGER', 'BIGINT', 'FLOAT', 'DOUBLE'],
  INTEGER: ['BIGINT', 'DOUBLE'],
  FLOAT: ['DOUBLE'],
  TIMESTAMP: ['TIMESTAMP WITH TIME ZONE'],
  'TIMESTAMP WITH TIME ZONE': ['TIMESTAMP'],
};

const holds = (type: string, given: string): boolean => type === given || (wider[given]?.includes(type) ?? false);

export const leftOf = (handedOver: readonly HandOver[]): number => handedOver.reduce((sum, { left }) => sum + left, 0);

/** What was found of each revision at one step, and at a later one. */
export function addHandOvers(before: readonly HandOver[], later: readonly HandOver[]): HandOver[] {
  const merged = new Map(before.map((one) => [one.revision, one]));
  for (const one of later) {
    const had = merged.get(one.revision);
    merged.set(one.revision, had ? { ...had, rows: had.rows + one.rows, left: had.left + one.left } : one);
  }
  return [...merged.values()].sort((a, b) => a.revision - b.revision);
}
