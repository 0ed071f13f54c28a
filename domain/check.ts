import type { ErrorCode } from './errors.js';
import type { ProjectName } from './ids.js';
import type { Kind, Resource } from './resources.js';

/** Input of the workflow that tries resources before they are applied; what they refer to comes along or is active. */
export interface CheckResources {
  readonly project: ProjectName;
  readonly resources: readonly Resource[];
}

/** Why a resource cannot be applied. */
export interface Problem {
  readonly kind: Kind;
  readonly name: string;
  /** The field at fault, e.g. `spec.sql`. */
  readonly field: string;
  readonly code: ErrorCode;
  readonly detail: string;
}
