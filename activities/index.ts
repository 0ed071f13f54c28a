import { compactionActivities } from './compaction.js';
import { controlActivities } from './control.js';
import { datasetCheckActivities } from './dataset-checks.js';
import { datasetActivities } from './datasets.js';
import type { Dependencies } from './dependencies.js';
import { deploymentActivities } from './deployment.js';
import { erasureActivities } from './erasure.js';
import { evaluationActivities } from './evaluation.js';
import { explainActivities } from './explain.js';
import { featureActivities } from './features.js';
import { handOverActivities } from './hand-over.js';
import { inferenceActivities } from './inference.js';
import { monitoringActivities } from './monitoring.js';
import { onlineActivities } from './online.js';
import { proofActivities } from './online-proof.js';
import { pushActivities } from './pushes.js';
import { refreshActivities } from './refresh.js';
import { resourceActivities } from './resources.js';
import { retentionActivities } from './retention.js';
import { scoringActivities } from './scoring.js';
import { spineUploadActivities } from './spine-uploads.js';
import { trainingActivities } from './training.js';

/** Every step that touches the world, over what it needs of it. */
export const createActivities = (dependencies: Dependencies) => ({
  ...resourceActivities(dependencies),
  ...featureActivities(dependencies),
  ...controlActivities(dependencies),
  ...handOverActivities(dependencies),
  ...onlineActivities(dependencies),
  ...pushActivities(dependencies),
  ...proofActivities(dependencies),
  ...refreshActivities(dependencies),
  ...compactionActivities(dependencies),
  ...retentionActivities(dependencies),
  ...erasureActivities(dependencies),
  ...explainActivities(dependencies),
  ...datasetActivities(dependencies),
  ...datasetCheckActivities(dependencies),
  ...spineUploadActivities(dependencies),
  ...trainingActivities(dependencies),
  ...evaluationActivities(dependencies),
  ...deploymentActivities(dependencies),
  ...scoringActivities(dependencies),
  ...inferenceActivities(dependencies),
  ...monitoringActivities(dependencies),
});

export type Activities = ReturnType<typeof createActivities>;
