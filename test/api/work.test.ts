import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { anonymous } from '../../domain/principal.js';
import { applyResources } from '../../store/resources.js';
import { until } from '../../programs/waiting.js';
import { day, flights, project, registered, runKey } from '../store/samples.js';
import { runIdOf } from '../../domain/training.js';
import { withApi, type TestApi } from './api.js';
import { standIns, startWorker } from './worker.js';
import type { WorkflowRow, WorkflowState } from '../../apps/api/workflow-state.js';

let api: TestApi;
let letGo: () => void;
let stopWorker: () => Promise<void>;
beforeAll(async () => {
  api = await withApi();
  await applyResources(api.db, project, flights(), anonymous);
  const stand = standIns(api.db);
  letGo = stand.letGo;
  stopWorker = await startWorker(api.server, stand.activities);
});
afterAll(async () => {
  letGo();
  await stopWorker();
  await api.close();
});

interface Started {
  readonly workflowId: string;
  readonly runId: string;
  readonly ui: string;
}

const start = async (path: string, body: object): Promise<Started> => {
  const answer = await api.call<Started>('POST', `/api/v1${path}`, body);
  expect(answer.status).toBe(202);
  return answer.body;
};
const address = (id: string) => `/api/v1/workflows/${encodeURIComponent(id)}`;
const state = async (id: string) => (await api.call<WorkflowState>('GET', address(id))).body;
const reaches = async (id: string, condition: (state: WorkflowState) => boolean): Promise<WorkflowState> => {
  let seen: WorkflowState | undefined;
  if (!(await until(async () => condition((seen = await state(id))), 20_000))) throw new Error(JSON.stringify(seen));
  return seen as WorkflowState;
};
const march = { start: '2001-03-01', end: '2001-03-04' };

interface Sent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}
async function eventsOf(path: string, onEvent?: (event: Sent) => void): Promise<Sent[]> {
  const answer = await fetch(`${api.url}${path}`);
  expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events: Sent[] = [];
  let text = '';
  for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const match = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end));
      text = text.slice(end + 2);
      if (!match) continue;
      events.push({ event: match[1] ?? '', data: JSON.parse(match[2] ?? '') as Record<string, unknown> });
      onEvent?.(events.at(-1) as Sent);
    }
  }
  return events;
}

test('a view is materialized by a workflow under its business key, followed by events, and started twice is one', async () => {
  const started = await start('/features/origin_hour/materialize', march);
  expect(started.workflowId).toBe('materialize/eider/origin_hour@r1/2001-03-01T00:00:00Z/2001-03-04T00:00:00Z');
  const again = await start('/features/origin_hour/materialize', {
    start: '2001-03-01T00:00:00Z',
    end: '2001-03-04 00:00',
  });
  expect(again).toEqual(started);

  const running = await reaches(started.workflowId, ({ progress }) => progress?.stage === 'materialize');
  expect(running).toMatchObject({
    status: 'running',
    type: 'materializeView',
    resource: 'FeatureView/origin_hour',
    progress: { stage: 'materialize', done: 1, total: 3, detail: '2 never computed, 1 current' },
    result: null,
    error: null,
  });
  expect(running.ui).toMatch(/\/namespaces\/test-[\w-]+\/workflows\/materialize%2Feider%2Forigin_hour/);

  const events = await eventsOf(`${address(started.workflowId)}/events`, ({ data }) => {
    if (data['stage'] === 'materialize') letGo();
  });
  expect(events.at(-1)).toMatchObject({
    event: 'end',
    data: { status: 'completed', result: { committed: 2, snapshot: 2 } },
  });
  expect(events.map(({ data }) => data['stage']).filter(Boolean)).toContain('done');
  expect(await state(started.workflowId)).toMatchObject({
    status: 'completed',
    result: { committed: 2, unchanged: 1 },
  });
});

test('a failure keeps the code and the data that the activity gave it', async () => {
  const { workflowId } = await start('/features/route_day/materialize', march);
  const failed = await reaches(workflowId, ({ status }) => status === 'failed');
  expect(failed).toMatchObject({
    result: null,
    error: { code: 'source_unreadable', detail: 'flights is no Parquet file.', data: { view: 'route_day' } },
  });
  const [end] = (await eventsOf(`${address(workflowId)}/events`)).slice(-1);
  expect(end).toMatchObject({ event: 'end', data: { status: 'failed', error: { code: 'source_unreadable' } } });
});

test('work that ended can be started again', async () => {
  const { workflowId, runId } = await start('/features/route_day/materialize', march);
  await reaches(workflowId, ({ status }) => status === 'failed');
  const again = await start('/features/route_day/materialize', march);
  expect(again.workflowId).toBe(workflowId);
  expect(again.runId).not.toBe(runId);
});

test('training answers with the run that it will be, and its events tell what the trainer does', async () => {
  const asOf = '2001-03-05';
  const started = await api.call<Started & { run: string }>('POST', '/api/v1/models/lateness/train', { asOf });
  expect(started.body).toMatchObject({
    run: runIdOf(runKey(instant(asOf))),
    workflowId: 'train/eider/lateness@r1/2001-03-05T00:00:00Z',
  });
  await reaches(started.body.workflowId, ({ progress }) => progress !== null);
  letGo();
  const events = await eventsOf(`/api/v1/runs/${started.body.run}/events`);
  expect(events).toContainEqual({ event: 'training', data: { step: 7, total: 10, metric: { auc: 0.7 } } });
  expect(events.at(-1)).toMatchObject({ event: 'end', data: { error: { code: 'training_set_empty' } } });
  const log = await api.problem('GET', `/api/v1/runs/${started.body.run}/log`);
  expect(log).toMatchObject({ status: 404, code: 'log_unknown' });
});

const scoring = (workflowId: string, asOf: string, principal = 'a') => ({
  workflowId,
  input: { project, endpoint: 'lateness', start: day(1), end: day(2), asOf: instant(asOf), principal },
  resource: 'Endpoint/lateness',
  summary: 'Score',
});

test('a running workflow can be cancelled, one that has ended is left as it is', async () => {
  const { workflowId } = await api.temporal.start('scoreWindow', scoring('score/eider/lateness/y', '2001-03-12'));
  const asked = await api.call<WorkflowRow>('POST', `${address(workflowId)}/cancel`);
  expect(asked).toMatchObject({ status: 202, body: { id: workflowId } });
  const ended = await reaches(workflowId, ({ status }) => status !== 'running');
  expect(ended).toMatchObject({ status: 'cancelled', result: null, error: { code: 'cancelled' } });
  const again = await api.call<WorkflowRow>('POST', `${address(workflowId)}/cancel`);
  expect(again).toMatchObject({ status: 202, body: { status: 'cancelled' } });
});

test('the same work open with another input is a conflict, not a second start', async () => {
  const id = 'score/eider/lateness/x';
  const first = await api.temporal.start('scoreWindow', scoring(id, '2001-03-12'));
  expect(await api.temporal.start('scoreWindow', scoring(id, '2001-03-12', 'b'))).toEqual(first);
  await expect(api.temporal.start('scoreWindow', scoring(id, '2001-03-19'))).rejects.toMatchObject({
    code: 'workflow_open_with_other_input',
    data: { workflowId: id },
  });
});

test('workflows are listed by project, resource and status, page by page', async () => {
  await reaches(
    (await start('/features/route_day/materialize', march)).workflowId,
    ({ status }) => status === 'failed',
  );
  const of = async (query: string) =>
    (await api.call<{ items: WorkflowRow[]; next: string | null }>('GET', `/api/v1/workflows?${query}`)).body;
  await until(async () => (await of('resource=FeatureView/route_day&status=failed')).items.length >= 1, 10_000);
  const failed = await of('resource=FeatureView/route_day&status=failed');
  expect(new Set(failed.items.map(({ type, status }) => `${type} ${status}`))).toEqual(
    new Set(['materializeView failed']),
  );
  const first = await of('limit=1');
  const second = await of(`limit=1&after=${first.next}`);
  expect(first.items).toHaveLength(1);
  expect(second.items[0]?.runId).not.toBe(first.items[0]?.runId);
  await api.call('POST', '/api/v1/projects', { name: 'empty' });
  expect((await api.call('GET', '/api/v1/projects/empty/workflows')).body).toEqual({ items: [], next: null });
});

test.each([
  ['GET', '/workflows/nothing'],
  ['GET', `/workflows/${encodeURIComponent('train/eider/nobody@r1/x')}`],
  ['GET', `/workflows/${encodeURIComponent('train/eider/nobody@r1/x')}/events`],
  ['POST', `/workflows/${encodeURIComponent('train/eider/nobody@r1/x')}/cancel`],
  [
    'GET',
    `/workflows/${encodeURIComponent('materialize/eider/origin_hour@r1/2001-03-01T00:00:00Z/2001-03-04T00:00:00Z')}`,
    'other',
  ],
])('%s %s of nobody, or of another project, is unknown', async (method, path, of = 'eider') => {
  await api.call('POST', '/api/v1/projects', { name: of });
  expect(await api.problem(method, `/api/v1/projects/${of}${path}`)).toMatchObject({
    status: 404,
    code: 'workflow_unknown',
  });
});

test.each([
  ['/features/nobody/materialize', march, 404, 'resource_unknown'],
  ['/features/origin_hour/materialize', { start: '2001-03-04', end: '2001-03-04' }, 422, 'request_invalid'],
  ['/features/origin_hour/materialize', { start: 'yesterday', end: '2001-03-04' }, 422, 'request_invalid'],
  ['/features/origin_hour/materialize', {}, 422, 'request_invalid'],
  ['/models/nobody/train', { asOf: '2001-03-05' }, 404, 'resource_unknown'],
  ['/models/lateness/train', { asOf: '2001-02-30' }, 422, 'request_invalid'],
  ['/models/nobody/training-sets', { asOf: '2001-03-05' }, 404, 'resource_unknown'],
  ['/endpoints/nobody/deploy', { version: 1 }, 404, 'resource_unknown'],
  ['/endpoints/lateness/deploy', { version: 99 }, 404, 'version_unknown'],
  ['/endpoints/lateness/deploy', { version: 0 }, 422, 'request_invalid'],
  ['/endpoints/nobody/score', march, 404, 'resource_unknown'],
  ['/endpoints/lateness/score', march, 404, 'endpoint_not_serving'],
  ['/monitors/nobody/tick', { asOf: '2001-03-05' }, 404, 'resource_unknown'],
  ['/monitors/nobody/backfill', march, 404, 'resource_unknown'],
])('POST %s %j is refused', async (path, body, status, code) => {
  expect(await api.problem('POST', `/api/v1${path}`, body)).toMatchObject({ status, code });
});

test('the other kinds of work start under their business keys', async () => {
  const { version } = await registered(api.db, day(1));
  const monitor = flights().find(({ kind }) => kind === 'Monitor')?.name ?? '';
  const asOf = '2001-06-11T00:00:00Z';
  expect(await start('/models/lateness/training-sets', { asOf })).toMatchObject({
    dataset: 'lateness_r1_20010611',
    workflowId: `dataset/eider/lateness@r1/${asOf}`,
  });
  expect(await start('/endpoints/lateness/deploy', { version, asOf, reason: 'a test' })).toMatchObject({
    model: 'lateness',
    workflowId: `deploy/eider/lateness/v${version}/${asOf}`,
  });
  expect(await start(`/monitors/${monitor}/tick`, { asOf })).toMatchObject({
    workflowId: `monitor/eider/${monitor}-${asOf}`,
  });
  await api.db.query(
    "INSERT INTO endpoint_traffic (project, endpoint, model, version, generation, data_instant) VALUES ('eider', 'lateness', 'lateness', $1, 1, now())",
    [version],
  );
  expect(await start('/endpoints/lateness/score', march)).toMatchObject({
    asOf: instant('2001-03-04'),
    workflowId: 'score/eider/lateness/2001-03-01T00:00:00Z/2001-03-04T00:00:00Z',
  });
});

test('a backfill runs the slots of the schedule in the half-open range, and waits for the schedule to be made', async () => {
  const monitor = flights().find((one) => one.kind === 'Monitor');
  if (monitor?.kind !== 'Monitor') throw new Error('no monitor');
  const scheduleId = workflowIds.schedule(project as ProjectName, monitor.name);
  const begin = Date.parse(monitor.spec.start.slice(0, 19) + 'Z');
  const weekMs = 7 * 86_400_000;
  const slot = (number: number) => new Date(begin + number * weekMs).toISOString();
  const asked = api.call<{ ticks: { asOf: string; workflowId: string }[] }>(
    'POST',
    `/api/v1/monitors/${monitor.name}/backfill`,
    { start: slot(0), end: slot(2) },
  );
  const schedule = await api.temporal.client.schedule.create({
    scheduleId,
    spec: {
      intervals: [{ every: weekMs, offset: begin % weekMs }],
      startAt: new Date(begin),
      endAt: new Date(begin + 20 * weekMs),
    },
    action: {
      type: 'startWorkflow',
      workflowType: 'monitorTick',
      workflowId: scheduleId,
      taskQueue: 'nobody',
      args: [],
    },
    policies: { overlap: 'ALLOW_ALL' },
  });
  const { status, body } = await asked;
  expect(status).toBe(202);
  expect(body.ticks.map(({ asOf }) => asOf)).toEqual([slot(0), slot(1)].map(instant));
  const began = async () => {
    const ids: string[] = [];
    for await (const { workflowId } of api.temporal.client.workflow.list({
      query: `TemporalScheduledById = '${scheduleId}'`,
    }))
      ids.push(workflowId);
    return ids.sort();
  };
  // BUFFER_ALL: the second waits for the first, which nobody works on here.
  await until(async () => (await began()).length >= 1, 10_000);
  const first = body.ticks[0]?.workflowId ?? '';
  expect(await began()).toEqual([first]);
  await api.temporal.client.workflow.getHandle(first).terminate();
  await until(async () => (await began()).length >= 2, 15_000);
  expect(await began()).toEqual(body.ticks.map(({ workflowId }) => workflowId));
  await schedule.delete();
  const range = { start: '1990-01-01', end: '1990-02-01' };
  const none = await api.problem('POST', `/api/v1/monitors/${monitor.name}/backfill`, range);
  expect(none).toMatchObject({ status: 422, code: 'request_invalid' });
});
