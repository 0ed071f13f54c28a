import { join } from 'node:path';
import { asDomainError } from '../../domain/errors.js';
import type { ActiveVersion, ServedVersion, ServingStore } from '../../domain/serving.js';
import { checkGolden } from '../../models/golden.js';
import type { Models } from '../../models/onnx.js';
import type { Logger } from '../log.js';
import type { Endpoints } from './endpoints.js';
import { createReports } from './reports.js';
import type { Report, Reports } from './reports.js';

export interface FollowerDeps {
  readonly name: string;
  readonly store: ServingStore;
  readonly models: Models;
  readonly endpoints: Endpoints;
  /** The folder that model keys are relative to. */
  readonly artifacts: string;
  readonly log: Logger;
  /** A version that could not be loaded is tried again after this time: its file may have been restored. */
  readonly retryFailedMs?: number;
}

const retryFailedMsDefault = 30_000;

/** Does what the store says: loads what is announced, reports what came of it, sends traffic where it goes. Decides nothing. */
export class Follower {
  private readonly reports: Reports;
  private readonly loading = new Map<string, Promise<void>>();
  private loaded: () => void = () => undefined;
  private complete = false;

  constructor(private readonly deps: FollowerDeps) {
    this.reports = createReports(deps.retryFailedMs ?? retryFailedMsDefault);
  }

  /** True once everything that was active at the start is loaded, or has failed to; it stays so. */
  get ready(): boolean {
    return this.complete;
  }

  /** Called back when a load is over, which is a reason to look again. */
  onLoaded(loaded: () => void): void {
    this.loaded = loaded;
  }

  reportAgain(): void {
    this.reports.repeat();
  }

  /** One look at the store. Loads go on beside it, so that a large model delays no switch of another endpoint. */
  async look(): Promise<void> {
    const { store, endpoints } = this.deps;
    const announced = latest(await store.announced());
    const traffic = await store.active();
    this.reports.keep(announced);
    for (const version of announced) {
      if (this.isLoaded(version)) this.reports.put(version, { state: 'ready' });
      else if (!this.loading.has(keyOf(version)) && this.reports.due(version)) this.begin(version);
    }
    endpoints.follow(traffic);
    const wanted = new Set([...announced, ...traffic].map(keyOf));
    endpoints.retain((version) => wanted.has(keyOf(version)));
    await this.deliver();
    if (!this.complete && this.loading.size === 0) this.completeWith(traffic);
  }

  private begin(version: ServedVersion): void {
    const load = loadVersion(this.deps, version).then((report) => {
      this.reports.put(version, report);
      this.loading.delete(keyOf(version));
      this.loaded();
    });
    this.loading.set(keyOf(version), load);
  }

  private async deliver(): Promise<void> {
    for (const { version, report, delivered } of this.reports.pending()) {
      await this.deps.store.report(this.deps.name, version, report.state, report.reason);
      delivered();
    }
  }

  private completeWith(traffic: readonly ActiveVersion[]): void {
    const missing = traffic.filter(
      ({ project, endpoint, version }) => !this.deps.endpoints.find(project, endpoint, version),
    );
    this.complete = true;
    this.deps.log.ready({ serving: traffic.length - missing.length, missing });
  }

  private isLoaded({ project, endpoint, version, sha256 }: ServedVersion): boolean {
    return this.deps.endpoints.find(project, endpoint, version)?.version.sha256 === sha256;
  }
}

/** A version may be active and the target of a rollout at once; the newer generation is the one that somebody waits for. */
function latest(announced: readonly ServedVersion[]): ServedVersion[] {
  const sorted = [...announced].sort((a, b) => a.generation - b.generation);
  return [...new Map(sorted.map((version) => [keyOf(version), version])).values()];
}

/** Loads and proves a version; whatever is wrong with it becomes the reason of a report. */
async function loadVersion(deps: FollowerDeps, version: ServedVersion): Promise<Report> {
  const { models, endpoints, artifacts, log } = deps;
  const { project, endpoint, version: number, modelKey, sha256, signature, golden } = version;
  const started = performance.now();
  try {
    const model = await models.load(join(artifacts, modelKey), sha256, signature);
    try {
      await checkGolden(models, model, golden);
    } catch (error) {
      await models.unload(model);
      throw error;
    }
    endpoints.add(version, model);
    log.info('a version is loaded', {
      project,
      endpoint,
      version: number,
      ms: Math.round(performance.now() - started),
    });
    return { state: 'ready' };
  } catch (error) {
    const { code, message } = asDomainError(error);
    log.error('a version cannot be served', { project, endpoint, version: number, error });
    return { state: 'failed', reason: `${code}: ${message}` };
  }
}

const keyOf = ({ project, endpoint, version }: Pick<ServedVersion, 'project' | 'endpoint' | 'version'>): string =>
  `${project}/${endpoint}/${version}`;
