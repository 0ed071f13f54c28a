import { DomainError } from '../../domain/errors.js';
import type { ActiveVersion, ServedVersion } from '../../domain/serving.js';
import type { LoadedModel } from '../../models/onnx.js';

/** A version with its session, and how many requests it is answering. */
export interface Served {
  readonly version: ServedVersion;
  readonly model: LoadedModel;
  inFlight: number;
  retired: boolean;
}

export interface Endpoint {
  readonly project: string;
  readonly name: string;
  readonly versions: Map<number, Served>;
  active: Served | null;
  /** Stays loaded, so that going back to it needs no loading. */
  previous: Served | null;
  /** Of the traffic, as the store counts it. */
  generation: number;
}

/** Names an endpoint, and one of its versions or, without one, the active version. */
export interface Address {
  readonly project: string;
  readonly endpoint: string;
  readonly version?: number;
}

const keyOf = ({ project, endpoint }: Address): string => `${project}/${endpoint}`;

/** What this instance has loaded and where requests go. Changes never await, so each lies between two requests. */
export class Endpoints {
  private readonly endpoints = new Map<string, Endpoint>();
  private answering = 0;

  constructor(private readonly unload: (model: LoadedModel) => void) {}

  list(): Endpoint[] {
    return [...this.endpoints.values()];
  }

  /** How many requests are being answered. */
  get inFlight(): number {
    return this.answering;
  }

  find(project: string, endpoint: string, version: number): Served | null {
    return this.endpoints.get(keyOf({ project, endpoint }))?.versions.get(version) ?? null;
  }

  versionsOf(address: Address): number[] {
    return [...(this.endpoints.get(keyOf(address))?.versions.keys() ?? [])].sort((a, b) => a - b);
  }

  /** Throws `endpoint_not_serving` or `version_unknown`. */
  at(address: Address): Served {
    const endpoint = this.endpoints.get(keyOf(address));
    const { version } = address;
    const served = version === undefined ? endpoint?.active : endpoint?.versions.get(version);
    if (served) return served;
    const { project, endpoint: name } = address;
    if (version === undefined || !endpoint) {
      throw new DomainError('endpoint_not_serving', `Endpoint "${name}" of project "${project}" serves nothing here.`, {
        project,
        endpoint: name,
      });
    }
    const loaded = this.versionsOf(address);
    const detail = `Version ${version} of "${name}" is not loaded here; loaded: ${loaded.join(', ')}.`;
    throw new DomainError('version_unknown', detail, { project, endpoint: name, version, loaded });
  }

  /** Has `work` done by the version that answers now; a switch in between does not touch it. Throws as `at`. */
  async use<Result>(address: Address, work: (served: Served) => Promise<Result>): Promise<Result> {
    const served = this.at(address);
    served.inFlight++;
    this.answering++;
    try {
      return await work(served);
    } finally {
      this.answering--;
      served.inFlight--;
      if (served.retired && served.inFlight === 0) this.unload(served.model);
    }
  }

  /** Takes the place of the same version with another file, if there is one. */
  add(version: ServedVersion, model: LoadedModel): void {
    const key = keyOf(version);
    const endpoint = this.endpoints.get(key) ?? emptyEndpoint(version);
    this.endpoints.set(key, endpoint);
    const replaced = endpoint.versions.get(version.version);
    const served = { version, model, inFlight: 0, retired: false };
    endpoint.versions.set(version.version, served);
    if (!replaced) return;
    if (endpoint.active === replaced) endpoint.active = served;
    if (endpoint.previous === replaced) endpoint.previous = served;
    this.retire(replaced);
  }

  /** Sends all requests from now on to the given versions; one that is not loaded leaves its endpoint as it is. */
  follow(traffic: readonly ActiveVersion[]): void {
    const keys = new Set(traffic.map(keyOf));
    for (const [key, endpoint] of this.endpoints) {
      if (!keys.has(key)) endpoint.active = endpoint.previous = null;
    }
    for (const active of traffic) {
      const endpoint = this.endpoints.get(keyOf(active));
      const next = endpoint?.versions.get(active.version);
      if (!endpoint || !next) continue;
      if (endpoint.active !== next) [endpoint.previous, endpoint.active] = [endpoint.active, next];
      endpoint.generation = active.generation;
    }
  }

  /** Unloads what is neither wanted nor active nor previous, each when its last request is answered. */
  retain(wanted: (version: ServedVersion) => boolean): void {
    for (const [key, endpoint] of this.endpoints) {
      for (const [version, served] of endpoint.versions) {
        if (served === endpoint.active || served === endpoint.previous || wanted(served.version)) continue;
        endpoint.versions.delete(version);
        this.retire(served);
      }
      if (endpoint.versions.size === 0) this.endpoints.delete(key);
    }
  }

  private retire(served: Served): void {
    served.retired = true;
    if (served.inFlight === 0) this.unload(served.model);
  }
}

const emptyEndpoint = ({ project, endpoint }: ServedVersion): Endpoint => ({
  project,
  name: endpoint,
  versions: new Map(),
  active: null,
  previous: null,
  generation: 0,
});
