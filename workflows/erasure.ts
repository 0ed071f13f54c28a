import { proxyActivities, sleep } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type { EraseEntity, Erased } from '../domain/snapshots.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
const long = proxyActivities<Activities>(steps.heartbeating);

/** What was begun before the erasure may still come to light; after these rounds somebody has to look. */
const roundsMax = 10;
const pause = '10 s';

/**
 * Takes every row under a key out of all tables, snapshots and stores, looks once more everywhere, and certifies it. The key
 * came back from nowhere meanwhile: its tombstone was set when the erasure was opened.
 */
export async function eraseEntity(input: EraseEntity): Promise<Erased> {
  const { project, erasure } = input;
  const reporter = report(`Erase ${erasure}`, { project, resource: `Erasure/${erasure}` });
  for (let round = 1; ; round++) {
    reporter.stage('rewrite', 'files that hold rows of the key');
    await long.eraseTables(input);
    reporter.stage('delete', 'rows of the online store, logs and labels');
    await long.eraseRecords(input);
    reporter.stage('verify', 'looking everywhere once more');
    const verified = await long.verifyErasure(input);
    const left = Object.keys(verified.left);
    if (left.length > 0 && round < roundsMax) {
      await sleep(pause);
      continue;
    }
    const { sha256 } = await safe.certifyErasure({ ...input, verified });
    reporter.stage(
      'done',
      `nothing is left in ${verified.files} files of ${verified.tables} tables; certificate ${sha256.slice(0, 12)}`,
    );
    return { erasure, sha256, files: verified.files, tables: verified.tables };
  }
}
