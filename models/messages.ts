/** What the pool and its worker threads say to each other. */

/** A tensor as the model file declares it; -1 is a dimension of any size. */
export interface ModelTensor {
  readonly name: string;
  /** The Open Inference Protocol's name of the type; `OTHER` is what cannot be sent over it. */
  readonly datatype: string;
  readonly shape: readonly number[];
}

export type ToWorker =
  | {
      readonly type: 'load';
      readonly call: number;
      readonly model: number;
      readonly path: string;
      readonly sha256: string;
    }
  | {
      readonly type: 'run';
      readonly call: number;
      readonly model: number;
      readonly input: string;
      readonly output: string;
      readonly rows: number;
      readonly columns: number;
      readonly data: Float32Array;
    }
  | { readonly type: 'unload'; readonly call: number; readonly model: number };

export type FromWorker =
  | { readonly call: number; readonly loaded: { readonly inputs: ModelTensor[]; readonly outputs: ModelTensor[] } }
  | { readonly call: number; readonly predictions: Float32Array }
  | { readonly call: number; readonly unloaded: true }
  | { readonly call: number; readonly failed: WorkerFailure };

/** An error's class does not survive a thread boundary; its code does. */
export interface WorkerFailure {
  readonly code: 'object_missing' | 'object_corrupt' | 'model_invalid';
  readonly detail: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface WorkerSettings {
  readonly intraOpThreads: number;
}
