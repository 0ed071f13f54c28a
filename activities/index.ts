import { compactionActivities } from './compaction.js';
import { datasetActivities } from './datasets.js';
import type { Dependencies } from './dependencies.js';
import { deploymentActivities } from './deployment.js';
import { evaluationActivities } from './evaluation.js';
import { explainActivities } from './explain.js';
import { featureActivities } from './features.js';
import { inferenceActivities } from './inference.js';
import { monitoringActivities } from './monitoring.js';
import { resourceActivities } from './resources.js';
import { retentionActivities } from './retention.js';
import { scoringActivities } from './scoring.js';
import { trainingActivities } from './training.js';

/** Every step that touches the world, over what it needs of it. */
export const createActivities = (dependencies: Dependencies) => ({
  ...resourceActivities(dependencies),
  ...featureActivities(dependencies),
  ...compactionActivities(dependencies),
  ...retentionActivities(dependencies),
  ...explainActivities(dependencies),
  ...datasetActivities(dependencies),
  ...trainingActivities(dependencies),
  ...evaluationActivities(dependencies),
  ...deploymentActivities(dependencies),
  ...scoringActivities(dependencies),
  ...inferenceActivities(dependencies),
  ...monitoringActivities(dependencies),
});

export type Activities = ReturnType<typeof createActivities>;
