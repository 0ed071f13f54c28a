import type { Metadata } from '@grpc/grpc-js';
import type { ProjectName } from '../../domain/ids.js';
import type { Compression } from '../../lake/read/plan.js';

/** Who calls, about which project, and until when an answer is wanted. */
export interface Call {
  readonly principal: string;
  readonly project: ProjectName;
  readonly metadata: Metadata;
  /** What the client wants the bodies of record batches to be. */
  readonly compression: Compression;
  /** Fires when the client left, its deadline passed, or the service stops. */
  readonly signal: AbortSignal;
}

/** The metadata key of the project; absent means the default one. */
export const projectKey = 'eider-project';
