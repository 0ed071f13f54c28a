import { z } from 'zod';
import type { Instant, ProjectName } from './ids.js';
import type { Json } from './json.js';

/** What a model takes and gives: a trainer's `signature.json`, the Open Inference Protocol's metadata and the request check. */

const dimension = z.int().min(-1).describe('-1 is any number of rows.');
const tensor = {
  name: z.string().min(1),
  datatype: z
    .literal('FP32')
    .describe('The inference log, the golden rows and the check of a request all count in float32.'),
  shape: z.array(dimension).min(1).max(2),
};

const columnCountMax = 4096;

export const SignatureInput = z
  .strictObject({
    ...tensor,
    columns: z
      .array(z.string().min(1))
      .min(1)
      .max(columnCountMax)
      .describe('Names of the columns, in the order the model sees them.'),
  })
  .refine(({ shape, columns }) => shape.length === 2 && shape[0] === -1 && shape[1] === columns.length, {
    error: 'shape must be [-1, number of columns]',
  })
  .meta({ id: 'SignatureInput' });

export const SignatureOutput = z
  .strictObject(tensor)
  .refine(({ shape }) => shape[0] === -1 && (shape.length === 1 || shape[1] === 1), {
    error: 'shape must be [-1] or [-1, 1]: one prediction a row',
  })
  .meta({ id: 'SignatureOutput' });

/** One matrix of rows in, one prediction a row out. */
export const Signature = z
  .strictObject({
    inputs: z.array(SignatureInput).length(1),
    outputs: z.array(SignatureOutput).length(1),
  })
  .meta({ id: 'Signature' });
export type Signature = z.infer<typeof Signature>;

/** Rows with the trainer's own predictions; whoever loads the model must reproduce them. */
export interface GoldenRows {
  /** Row by row, null for a missing value. */
  readonly inputs: readonly (readonly (number | null)[])[];
  readonly predictions: readonly number[];
  /** Largest |difference| that passes. */
  readonly tolerance: number;
}

/** A version that an endpoint answers with, or is about to. */
export interface ServedVersion {
  readonly project: ProjectName;
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  /** The endpoint's generation that made this version wanted; grows by one with every change of what it serves. */
  readonly generation: number;
  /** Key of the ONNX file, relative to `<home>/artifacts`. */
  readonly modelKey: string;
  readonly sha256: string;
  readonly signature: Signature;
  readonly golden: GoldenRows;
}

/** Where an endpoint's traffic goes. */
export interface ActiveVersion {
  readonly project: ProjectName;
  readonly endpoint: string;
  readonly version: number;
  readonly generation: number;
}

/** One row that was asked and answered. */
export interface InferenceLogRow {
  readonly project: ProjectName;
  readonly endpoint: string;
  readonly version: number;
  /** Minted by the instance and never repeated, unlike the id that a caller may give; with `rowIndex` it names the row. */
  readonly requestId: string;
  readonly rowIndex: number;
  readonly eventTime: Instant;
  readonly loggedAt: Instant;
  readonly inputs: readonly (number | null)[];
  /** NaN when the model answered so. */
  readonly output: number;
  /** Entity key, if the caller gave one. */
  readonly key: Json | null;
}

/** What an inference instance needs of the store; every method throws `database_unreachable` while PostgreSQL is away. */
export interface ServingStore {
  /** Takes or prolongs the instance's lease; a process that comes back under the same name takes over its row. */
  renewLease(instance: string, url: string, leaseSeconds: number): Promise<void>;
  /** Ends the lease and forgets what the instance reported; also the first call of a new process under an old name. */
  releaseLease(instance: string): Promise<void>;
  /** Versions that every live instance should have loaded: targets of open rollouts, and active ones. */
  announced(): Promise<ServedVersion[]>;
  active(): Promise<ActiveVersion[]>;
  /**
   * What this instance has made of an announced version. Repeating it is harmless. The generation says which announcement
   * the report answers: a late report for an older one must not count.
   */
  report(
    instance: string,
    at: { project: ProjectName; endpoint: string; version: number; generation: number },
    state: 'ready' | 'failed',
    reason?: string,
  ): Promise<void>;
  /** All rows or none; a row whose (project, endpoint, requestId, rowIndex) is there already is skipped, so it may be repeated. */
  appendLog(rows: readonly InferenceLogRow[]): Promise<void>;
  /** Calls back when an announcement or the traffic changed; reconnects by itself. Returns how to stop. */
  listen(onChange: () => void): Promise<() => Promise<void>>;
}
