import { Connection } from '@temporalio/client';
import { loadConfig } from '../../apps/config.js';
import { searchAttributes } from '../../domain/ids.js';
import { signal } from '../../programs/processes.js';
import { ensureSearchAttributes, temporalProgram } from '../../programs/temporal.js';
import { freePort, started, temporaryFolder } from './started.js';

const { cache: cacheDir, python } = loadConfig();
let home: string, remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: home, remove } = await temporaryFolder());
});
afterEach(() => remove());

async function attributesOf(address: string): Promise<Record<string, number>> {
  const connection = await Connection.connect({ address });
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
  await connection.close();
  const own = Object.entries(customAttributes ?? {}).filter(([name]) => name.startsWith('Eider'));
  return Object.fromEntries(own) as Record<string, number>;
}

test('Temporal starts with our search attributes, survives kill -9, and keeps what it was told', async () => {
  const [port, uiPort] = [await freePort(), await freePort()];
  const program = temporalProgram({ home, port, uiPort, namespace: 'default', cacheDir, python });
  const first = await started(program);
  const address = `127.0.0.1:${port}`;
  const expected = Object.values(searchAttributes).map((name) => [name, name === searchAttributes.asOf ? 6 : 2]);
  expect(await attributesOf(address)).toEqual(Object.fromEntries(expected));

  const connection = await Connection.connect({ address });
  await connection.workflowService.startWorkflowExecution({
    namespace: 'default',
    workflowId: 'kept',
    workflowType: { name: 'waits' },
    taskQueue: { name: 'nobody' },
    requestId: 'once',
  });
  await connection.close();
  signal(first.identity.pid, 'SIGKILL');
  await first.exited;

  const second = await started(program);
  const again = await Connection.connect({ address });
  const { workflowExecutionInfo } = await again.workflowService.describeWorkflowExecution({
    namespace: 'default',
    execution: { workflowId: 'kept' },
  });
  expect(workflowExecutionInfo?.type?.name).toBe('waits');
  await again.close();
  expect((await fetch(`http://127.0.0.1:${uiPort}/`)).status).toBe(200);
  await second.end();
});

test('a server that is not there is named in the error', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  await expect(ensureSearchAttributes(address, 'default')).rejects.toMatchObject({
    code: 'temporal_unreachable',
    message: expect.stringContaining(address) as string,
  });
});
