import { cancelledFeatures, failedFeatures, features, steeredFeatures } from './features.js';
import { cancelledTraining, failedTraining, training } from './training.js';
import { openRecorder, type Recorder } from './recorder.js';

/**
 * Records how every workflow runs, fails and is cancelled, for test/workflows/replay.test.ts. By hand, after a change of
 * workflows/ that `patched()` cannot carry, and before a release:
 *
 *     node bin/build.js && NODE_OPTIONS=--experimental-vm-modules npx jest --testMatch '**\/test/histories/record.ts'
 */

let recorder: Recorder;
beforeAll(async () => void (recorder = await openRecorder()), 120_000);
afterAll(() => recorder.world.close());

test.each([
  ['features that end well', features],
  ['features that people steer', steeredFeatures],
  ['features that fail', failedFeatures],
  ['features that are cancelled', cancelledFeatures],
  ['training that ends well', training],
  ['training that fails', failedTraining],
  ['training that is cancelled', cancelledTraining],
])('%s', async (_, record) => record(recorder), 300_000);
