import { failpoints, type Failpoint } from '../../domain/failpoints.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { startWorker, withWorld, type World } from '../support/world.js';
import { openErasure } from '../../store/erasures.js';
import { pushRows } from '../../store/pushes.js';
import { freePort } from '../programs/started.js';
import { startArmed } from './dying.js';
import { checkFiles, outcomeOf, storeHash, type Outcome } from './outcome.js';

/**
 * A process dies at each place between what is durable and what is not, another takes over, and what is left is what an
 * undisturbed run leaves. Each death has a project and a task queue of its own; all of them happen side by side.
 */

const range = { start: dayOf(1), end: dayOf(5) };
const principal = 'ann';
const view = 'place_day';

interface Work {
  /** Done by a worker that lives. */
  prepare?(project: ProjectName): Promise<unknown>;
  /** Starts what the process dies of, and waits for its end. */
  disturbed(project: ProjectName, queue: string): Promise<unknown>;
}

const queueOf = (failpoint: Failpoint) => `dies-${failpoint}`;
const materialize = async (project: ProjectName, queue?: string, revision = 1) => {
  const id = workflowIds.materialize(project, view, revision, range.start, range.end);
  return (await world.start('materializeView', id, { project, view, revision, ...range, principal }, queue)).result();
};
const compact = async (project: ProjectName, queue?: string) => {
  const input = { project, schema: 'features', name: view, revision: 1, principal } as const;
  return (await world.start('compactTable', workflowIds.compact(project, view, 1), input, queue)).result();
};

const publish = async (project: ProjectName, queue?: string, revision = 1) => {
  const input = { project, view, revision, asOf: range.end, principal };
  return (await world.start('publishView', workflowIds.publish(project, view), input, queue)).result();
};
const pushedRows = (event: string) =>
  ['place-0', 'place-1'].map((place) => ({ place, event_time: event, mean: 0.5, events: 7 }));
const push = (project: ProjectName, id = 'one', event = dayOf(3)) => {
  const to = 'online_and_offline';
  return pushRows(world.db, { project, view, rows: pushedRows(event), to, id }, { name: principal });
};
const flush = async (project: ProjectName, queue?: string) =>
  (await world.start('flushPushes', workflowIds.flush(project, view), { project, view, principal }, queue)).result();
/** A revision that can read what is pushed to the first one. */
const declareNext = (project: ProjectName) =>
  world.apply(eventResources({ path: `${world.home}/data/${project}.parquet`, window: '6h', ttl: '9d', endpoint: false }), project); // prettier-ignore
/** Everything that the windows held is replaced, so that there is something to collect. */
const change = async (project: ProjectName) => {
  await world.write(`${project}.parquet`, eventsSql({ days: 4, change: 'amount + 1' }));
  await materialize(project);
};
const collect = async (project: ProjectName, queue?: string) => {
  const input = { project, keep: '0s', dryRun: false, principal };
  return (await world.start('collectGarbage', workflowIds.collect(project), input, queue)).result();
};
const erase = async (project: ProjectName, queue?: string) => {
  const keys = [{ name: 'place', type: 'VARCHAR' }];
  const asked = { project, entity: 'place', keys, values: ['place-2'], reason: 'asked for' };
  const { id } = await openErasure(world.db, asked, { name: principal });
  const input = { project, erasure: id, principal };
  return (await world.start('eraseEntity', workflowIds.erase(project, id), input, queue)).result();
};
const inOrder =
  (...steps: ((project: ProjectName) => Promise<unknown>)[]) =>
  async (project: ProjectName) => {
    for (const step of steps) await step(project);
  };

const works = {
  materialize: { disturbed: materialize },
  publish: { prepare: inOrder(materialize, push), disturbed: publish },
  push: { prepare: inOrder(materialize, publish), disturbed: (project) => push(project) },
  flush: { prepare: inOrder(materialize, push, (project) => push(project, 'two', dayOf(4))), disturbed: flush },
  handOver: {
    prepare: inOrder(materialize, publish, push, (project) => push(project, 'two', dayOf(4)), flush, (project) => push(project, 'three', dayOf(4)), declareNext, (project) => materialize(project, undefined, 2)), // prettier-ignore
    disturbed: (project, queue) => publish(project, queue, 2),
  },
  compact: { prepare: materialize, disturbed: compact },
  collect: { prepare: inOrder(materialize, change), disturbed: collect },
  erase: { prepare: inOrder(materialize, publish, push), disturbed: erase },
} satisfies Record<string, Work>;

/** Which work passes the failpoint, and at which pass the process dies: in the middle, where there is one. */
const deaths: Record<Failpoint, { readonly work: keyof typeof works; readonly pass?: number }> = {
  'materialize.computed': { work: 'materialize' },
  'materialize.staged': { work: 'materialize', pass: 3 },
  'materialize.sealed': { work: 'materialize', pass: 4 },
  'commit.before': { work: 'materialize', pass: 5 },
  'commit.inside': { work: 'materialize', pass: 6 },
  'commit.after': { work: 'materialize', pass: 7 },
  'publish.loaded': { work: 'publish' },
  'publish.before_flip': { work: 'publish' },
  'publish.after_flip': { work: 'publish' },
  'push.inside': { work: 'push' },
  'push.after': { work: 'push' },
  'flush.staged': { work: 'flush', pass: 2 },
  'hand_over.staged': { work: 'handOver', pass: 2 },
  'compact.staged': { work: 'compact' },
  'collect.before_delete': { work: 'collect' },
  'erase.rewritten': { work: 'erase', pass: 2 },
};

let world: World;
const ended = new Map<Failpoint, Promise<number | null>>();
const reference = new Map<string, Outcome>();
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  world = await withWorld();
  // Never for long enough: each worker flushes by itself what has waited for a minute, of all projects.
  await world.db.query(`ALTER TABLE pushed_rows ALTER pushed_at SET DEFAULT now() + interval '1 day'`);
  for (const [name, work] of Object.entries<Work>(works)) {
    const project = await projectOf(`undisturbed_${name}`);
    await work.prepare?.(project);
    await work.disturbed(project, 'eider');
    reference.set(name, await outcomeOf(world.db, project));
  }
  for (const failpoint of Object.keys(deaths) as Failpoint[]) ended.set(failpoint, die(failpoint));
  await Promise.allSettled(ended.values());
}, 300_000);
afterAll(async () => {
  for (const stop of stops) await stop();
  await world.close();
});

const nameOf = (failpoint: Failpoint) => failpoint.replace('.', '_') as ProjectName;
async function projectOf(name: string): Promise<ProjectName> {
  const project = name as ProjectName;
  const path = await world.write(`${project}.parquet`, eventsSql({ days: 4 }));
  await world.apply(eventResources({ path, window: '6h', endpoint: false }), project);
  return project;
}

/** The client asks again when nobody answered: the same push, by its id, of an API that lives. */
async function dieInApi(failpoint: Failpoint, project: ProjectName): Promise<number | null> {
  const ports = { EIDER_API_PORT: await freePort() };
  const ask = () =>
    fetch(`http://127.0.0.1:${ports.EIDER_API_PORT}/api/v1/projects/${project}/features/${view}/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ rows: pushedRows(dayOf(3)), to: 'online_and_offline', id: 'one' }),
    });
  const armed = await startArmed(world, 'api', { ...ports, EIDER_FAILPOINTS: `${failpoint}=exit` });
  await expect(ask()).rejects.toThrow('fetch failed');
  const code = await armed.died;
  const other = await startArmed(world, 'api', ports);
  for (const answer of [await ask(), await ask()]) expect(answer.status).toBe(200);
  await other.kill();
  return code;
}

/** Returns the exit code of the process that died, once the work has ended all the same. */
async function die(failpoint: Failpoint): Promise<number | null> {
  const { work: name, pass = 1 } = deaths[failpoint] ?? { work: 'materialize' as const, pass: 1 };
  const work: Work = works[name];
  const project = await projectOf(nameOf(failpoint));
  await work.prepare?.(project);
  if (name === 'push') return dieInApi(failpoint, project);
  const armed = await startArmed(world, 'worker', {
    EIDER_TASK_QUEUE: queueOf(failpoint),
    EIDER_FAILPOINTS: `${failpoint}=exit:${pass}`,
  });
  const working = work.disturbed(project, queueOf(failpoint));
  const code = await armed.died;
  stops.push(await startWorker(world.temporal, world, queueOf(failpoint)));
  await working;
  return code;
}

test.each(Object.keys(deaths) as Failpoint[])(
  'a worker that dies at %s leaves what an undisturbed run leaves',
  async (failpoint) => {
    expect(await ended.get(failpoint)).toBe(137);
    const outcome = await outcomeOf(world.db, nameOf(failpoint));
    const undisturbed = reference.get(deaths[failpoint]?.work ?? '') as Outcome;
    expect(outcome).toEqual(undisturbed);
    expect(storeHash(outcome)).toBe(storeHash(undisturbed));
    expect(await checkFiles(world.db, nameOf(failpoint), world.lake.path)).toBeGreaterThan(0);
  },
);

test('every failpoint is died at', () => {
  expect(Object.keys(deaths).sort()).toEqual([...failpoints].sort());
});
