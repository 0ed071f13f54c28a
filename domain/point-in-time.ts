import { z } from 'zod';

/** What may be known at a spine row's instant; docs/point-in-time.md has the rules. */
export const joinModes = ['known_at', 'event_time', 'feast'] as const;
export const JoinMode = z
  .enum(joinModes)
  .describe(
    'known_at: only what was known by the row’s instant. event_time: also what was learned later. feast: as event_time, with TTLs in whole seconds.',
  );
export type JoinMode = z.infer<typeof JoinMode>;

export const featureNamings = ['full', 'short'] as const;
export const FeatureNaming = z
  .enum(featureNamings)
  .describe('full: view__feature. short: the feature’s own name, refused when two would be called the same.');
export type FeatureNaming = z.infer<typeof FeatureNaming>;

/** A feature view as something was joined with it. */
export interface PinnedView {
  /** What references call it: the view’s own name, or that of its join. */
  readonly name: string;
  readonly view: string;
  readonly revision: number;
  readonly snapshot: number;
  /** The last pushed row that was read, beside what the snapshot holds; null: nothing but the snapshot. */
  readonly sequence: number | null;
  readonly rowHash: string;
  /** False: values were taken however late they became known, so corrections rewrite its history. */
  readonly bitemporal: boolean;
  /** The same in a sentence, for whoever reads a manifest. */
  readonly history: string;
}

/** What a manifest says of a view whose rows have no known-at, or that was joined without looking at it. */
export function historyOf(hasKnownAt: boolean, mode: JoinMode): Pick<PinnedView, 'bitemporal' | 'history'> {
  if (!hasKnownAt)
    return { bitemporal: false, history: 'Corrections rewrite its history: the view has no known-at column.' };
  if (mode !== 'known_at')
    return { bitemporal: false, history: `Corrections rewrite its history: it was joined in the mode ${mode}.` };
  return { bitemporal: true, history: 'Its history is kept: each row saw what was known at its instant.' };
}
