import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from '@temporalio/proto';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { projectRoot } from '../../apps/config.js';
import * as workflows from '../../workflows/index.js';

/** Workflows that began under an earlier build go on under this one: every recorded history replays with it. */

interface Recorded {
  readonly workflowId: string;
  readonly history: { readonly events: readonly Event_[] };
}
type Event_ = Readonly<Record<string, { workflowType?: { name?: string } } | undefined>>;

const folder = join(projectRoot, 'test', 'histories');
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace(/\.json$/, ''));
const recorded = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Recorded;
const typeOf = ({ history }: Recorded) =>
  history.events[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name ?? '';

const { History } = protobuf.temporal.api.history.v1;

let workflowBundle: { code: string };
beforeAll(async () => {
  // What must not replay is told by the native part too.
  const logger = new DefaultLogger('ERROR');
  Runtime.install({ logger, telemetryOptions: { logging: { filter: 'OFF' } } });
  workflowBundle = await bundleWorkflowCode({ workflowsPath: join(projectRoot, 'workflows', 'index.ts'), logger });
}, 120_000);

test.each(names)('%s replays', async (name) => {
  const { workflowId, history } = recorded(name);
  await expect(
    Worker.runReplayHistory({ workflowBundle }, History.fromObject(history), workflowId),
  ).resolves.toBeUndefined();
});

test('every workflow has a history, of a good end at least', () => {
  expect(new Set(names.map(recorded).map(typeOf))).toEqual(new Set(Object.keys(workflows)));
});

test('a history of another course does not replay', async () => {
  const { history } = recorded('train-promoted');
  const events = history.events.map(
    (event) => JSON.parse(JSON.stringify(event).replaceAll('"openRun"', '"openRuns"')) as Event_,
  );
  await expect(Worker.runReplayHistory({ workflowBundle }, History.fromObject({ events }), 'other')).rejects.toThrow(
    /[Nn]ondeterminis/,
  );
});

test('a history names no machine', () => {
  const texts = names.map((name) => readFileSync(join(folder, `${name}.json`), 'utf8'));
  const payloads = texts.flatMap((text) => [...text.matchAll(/"data":"([A-Za-z0-9+/=]+)"/g)].map(([, data = '']) => Buffer.from(data, 'base64').toString())); // prettier-ignore
  for (const text of [...texts, ...payloads]) expect(text).not.toMatch(/eider-world-|node_modules|"stackTrace":"[^"]/);
});
