/** Every identifier is branded and minted here, so that one cannot be passed where another is meant. */

type Brand<Name extends string> = string & { readonly __brand: Name };

export type ProjectName = Brand<'ProjectName'>;
export type ResourceName = Brand<'ResourceName'>;
/** 32 lower-case hex digits, MLflow's form. */
export type RunId = Brand<'RunId'>;
/** 64 lower-case hex digits. */
export type Sha256 = Brand<'Sha256'>;
/** UTC, six fraction digits, e.g. `2001-03-05T00:00:00.000000Z`. */
export type Instant = Brand<'Instant'>;

export const defaultProject = 'eider' as ProjectName;

/** Search attribute keys; the server allows ten Keyword attributes a namespace. */
export const searchAttributes = {
  project: 'EiderProject',
  resource: 'EiderResource',
  stage: 'EiderStage',
  verdict: 'EiderVerdict',
  chain: 'EiderChain',
  asOf: 'EiderAsOf',
} as const;

export const taskQueue = 'eider';

/** `2001-03-05T00:00:00.000000Z` is too long for an id that people read; whole seconds lose their zeros. */
export const shortInstant = (instant: Instant): string => instant.replace(/\.000000Z$/, 'Z');

/** Workflow ids are business keys, at most 255 characters: the same work has the same id. */
export const workflowIds = {
  materialize: (project: ProjectName, view: string, revision: number, start: Instant, end: Instant) =>
    `materialize/${project}/${view}@r${revision}/${shortInstant(start)}/${shortInstant(end)}`,
  explain: (project: ProjectName, view: string, revision: number, question: string) =>
    `explain/${project}/${view}@r${revision}/${question.slice(0, 32)}`,
  compact: (project: ProjectName, view: string, revision: number) => `compact/${project}/${view}@r${revision}`,
  collect: (project: ProjectName) => `gc/${project}`,
  erase: (project: ProjectName, erasure: string) => `erase/${project}/${erasure}`,
  refresh: (project: ProjectName, view: string) => `refresh/${project}/${view}`,
  quarantine: (project: ProjectName, view: string, revision: number, digest: Sha256) =>
    `quarantine/${project}/${view}@r${revision}/${digest.slice(0, 16)}`,
  trainingSet: (project: ProjectName, model: string, revision: number, asOf: Instant) =>
    `dataset/${project}/${model}@r${revision}/${shortInstant(asOf)}`,
  dataset: (project: ProjectName, name: string) => `dataset/${project}/${name}`,
  verify: (project: ProjectName, name: string) => `verify/${project}/${name}`,
  recreate: (project: ProjectName, name: string) => `recreate/${project}/${name}`,
  spine: (project: ProjectName, spine: Sha256) => `spine/${project}/${spine}`,
  train: (project: ProjectName, model: string, revision: number, asOf: Instant) =>
    `train/${project}/${model}@r${revision}/${shortInstant(asOf)}`,
  publish: (project: ProjectName, view: string) => `publish/${project}/${view}`,
  flush: (project: ProjectName, view: string) => `flush/${project}/${view}`,
  verifyOnline: (project: ProjectName, view: string) => `verify-online/${project}/${view}`,
  evaluate: (project: ProjectName, run: RunId) => `evaluate/${project}/${run}`,
  deploy: (project: ProjectName, endpoint: string, version: number, asOf: Instant) =>
    `deploy/${project}/${endpoint}/v${version}/${shortInstant(asOf)}`,
  score: (project: ProjectName, endpoint: string, start: Instant, end: Instant) =>
    `score/${project}/${endpoint}/${shortInstant(start)}/${shortInstant(end)}`,
  log: (project: ProjectName, endpoint: string, start: Instant, end: Instant) =>
    `log/${project}/${endpoint}/${shortInstant(start)}/${shortInstant(end)}`,
  monitor: (project: ProjectName, monitor: string, asOf: Instant) =>
    `monitor/${project}/${monitor}-${shortInstant(asOf)}`,
  schedule: (project: ProjectName, monitor: string) => `monitor/${project}/${monitor}`,
} as const;
