import { Connection } from '@temporalio/client';
import { randomUUID } from 'node:crypto';
import { loadConfig } from '../../apps/config.js';
import { ensureSearchAttributes, temporalProgram } from '../../programs/temporal.js';
import { until } from '../../programs/waiting.js';
import { freePort } from '../programs/started.js';
import { sharedServer } from './shared-server.js';

export interface TestTemporal {
  readonly address: string;
  /** Its own: ids of other test files do not meet those of this one. */
  readonly namespace: string;
  readonly uiUrl: string;
}

const retentionSeconds = 86_400;

/** A namespace of its own with our search attributes, on a real Temporal server. */
export async function withTemporal(): Promise<TestTemporal> {
  const { cache: cacheDir, python } = loadConfig();
  const { address, uiUrl } = await sharedServer('temporal', async (home) => {
    const [port, uiPort] = [await freePort(), await freePort()];
    const program = temporalProgram({ home, port, uiPort, namespace: 'default', cacheDir, python });
    return { program, address: async () => ({ address: `127.0.0.1:${port}`, uiUrl: `http://127.0.0.1:${uiPort}` }) };
  });
  const namespace = `test-${randomUUID()}`;
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: retentionSeconds as never },
  });
  await connection.close();
  // The server answers for a new namespace a moment after it was registered.
  let failure: unknown;
  const attributes = () =>
    ensureSearchAttributes(address, namespace).then(
      () => true,
      (error: unknown) => {
        failure = error;
        return false;
      },
    );
  if (!(await until(attributes, 15_000))) throw failure;
  return { address, namespace, uiUrl };
}
