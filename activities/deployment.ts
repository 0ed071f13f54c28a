import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '../domain/errors.js';
import type { DeployVersion } from '../domain/deployment.js';
import type { ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import {
  announceRollout,
  closeRollout,
  findRollout,
  instanceStates,
  shiftTraffic,
  type Rollout,
} from '../store/deployment.js';
import { getResource } from '../store/resources.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';

export type DeploymentDependencies = Pick<Dependencies, 'db'>;

interface RolloutRef {
  readonly project: ProjectName;
  readonly rollout: string;
}

const pollMs = 250;

export const deploymentActivities = (dependencies: DeploymentDependencies) => ({
  /** Recorded under the rollout's id: a repeat finds it announced. */
  async announceRollout(input: DeployVersion & { rollout: string }): Promise<void> {
    const { project, endpoint, model, version, asOf, rollout } = input;
    const announcement = { id: rollout, endpoint, model, version, dataInstant: asOf, workflowId: rollout };
    await announceRollout(dependencies.db, project, announcement, { name: input.principal });
  },

  /** Only looks: ends when every live instance is ready with the version, or one refused it, or time is up. */
  awaitInstances: ({ project, rollout }: RolloutRef): Promise<{ instances: number }> =>
    beating((signal, beat) => awaitInstances(dependencies, project, rollout, signal, beat)),

  /** Compare-and-set: a repeat after success returns what was recorded. */
  async shiftTraffic({
    project,
    rollout,
    reason,
    principal,
  }: RolloutRef & { reason: string; principal: string }): Promise<{ generation: number }> {
    const { generation } = await shiftTraffic(dependencies.db, project, rollout, reason, { name: principal });
    return { generation };
  },

  /** Closes an open rollout; a closed one stays as it is. */
  async closeRollout({
    project,
    rollout,
    status,
    reason,
  }: RolloutRef & { status: 'failed' | 'cancelled'; reason: string }): Promise<void> {
    await closeRollout(dependencies.db, project, rollout, status, reason);
  },
});

async function awaitInstances(
  { db }: DeploymentDependencies,
  project: ProjectName,
  id: string,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<{ instances: number }> {
  const rollout = await findRollout(db, project, id);
  if (!rollout) throw new DomainError('internal', `Rollout ${id} was never announced.`, { id });
  // A repeat of what is done: its instances may serve something newer by now.
  if (rollout.status === 'done') return { instances: (await readyInstances(db, project, rollout)).live };
  const { spec } = await getResource(db, project, 'Endpoint', rollout.endpoint);
  // Since the rollout began, whichever attempt this is.
  const deadline = Date.parse(rollout.openedAt) + durationMicros(spec.policy.readyTimeout) / 1000;
  for (;;) {
    const instances = await readyInstances(db, project, rollout);
    if (instances.refused)
      throw new DomainError('instance_refused', `Instance ${instances.refused.instance}: ${instances.refused.reason}`, {
        instance: instances.refused.instance,
      });
    if (instances.live > 0 && instances.ready === instances.live) return { instances: instances.live };
    if (Date.now() > deadline)
      throw new DomainError(
        'no_live_instance',
        `${instances.ready} of ${instances.live} live instances were ready after ${spec.policy.readyTimeout}.`,
        instances,
      );
    beat({ ready: instances.ready, live: instances.live });
    await sleep(pollMs, undefined, { signal });
  }
}

async function readyInstances(db: Dependencies['db'], project: ProjectName, rollout: Rollout) {
  const states = await instanceStates(db, project, rollout);
  return {
    live: states.length,
    ready: states.filter((one) => one.state === 'ready').length,
    refused: states.find((one) => one.state === 'failed'),
  };
}
