import { defineQuery, defineUpdate } from '@temporalio/workflow';
import type { Asked, ControlState } from '../domain/control.js';
import type { StageProgress } from '../domain/features.js';

/** What the workflow is doing now; answered by every workflow, while it runs and afterwards. */
export const progressQuery = defineQuery<StageProgress>('progress');

/** Answered by work in batches, see `control.ts`. */
export const pauseUpdate = defineUpdate<ControlState, [Asked]>('pause');
export const resumeUpdate = defineUpdate<ControlState, [Asked]>('resume');
export const cancelUpdate = defineUpdate<ControlState, [Asked]>('cancel');
