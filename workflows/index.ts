export { checkResources } from './resources.js';
export { explainValue } from './explain.js';
export { materializeView } from './features.js';
export { buildTrainingSet, trainModel } from './training.js';
export { evaluateRun } from './evaluation.js';
export { commitInferenceLog, deployVersion, scoreWindow } from './deployment.js';
export { monitorTick } from './monitoring.js';
export { collectGarbage, compactTable } from './snapshots.js';
