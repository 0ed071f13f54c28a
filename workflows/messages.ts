import { defineQuery } from '@temporalio/workflow';
import type { StageProgress } from '../domain/features.js';

/** What the workflow is doing now; answered by every workflow, while it runs and afterwards. */
export const progressQuery = defineQuery<StageProgress>('progress');
