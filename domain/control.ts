import { z } from 'zod';
import type { Instant } from './ids.js';

/** What operators may do to work that goes on in batches. Others can only be cancelled. */
export const controlActions = ['pause', 'resume', 'cancel'] as const;
export type ControlAction = (typeof controlActions)[number];

export const reasonMax = 500;
/** Why; kept with who, and shown wherever the work is. */
export const ControlBody = z
  .strictObject({
    reason: z.string().trim().min(1).max(reasonMax).optional().describe('Shown beside the state of the work.'),
  })
  .meta({ id: 'Control' });
export type ControlBody = z.infer<typeof ControlBody>;

/** The argument of the Updates `pause`, `resume` and `cancel`, in this form from the API, the command line and the Temporal UI. */
export interface Asked {
  readonly principal: string;
  readonly reason: string;
}

export interface ControlState {
  readonly state: 'running' | 'paused' | 'cancelling';
  /** Who brought it into this state, why and when; null while nobody has. */
  readonly by: string | null;
  readonly reason: string | null;
  readonly since: Instant | null;
}
