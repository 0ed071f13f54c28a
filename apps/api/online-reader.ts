import { DomainError } from '../../domain/errors.js';
import type { Instant, ProjectName } from '../../domain/ids.js';
import type { Join } from '../../domain/names.js';
import type { OnlineAnswer, OnlineValue } from '../../domain/online.js';
import type { Database } from '../../store/db.js';

/** What is read: features, a FeatureService or both, for entities given as columns of equal length. */
export interface OnlineQuestion {
  /** `name:feature`. */
  readonly features?: readonly string[];
  readonly service?: string;
  readonly joins?: readonly Join[];
  /** Columns that no view asks for are not looked at. */
  readonly entities: Readonly<Record<string, readonly OnlineValue[]>>;
  /** Nothing later is known, and ages are measured to it. Default: now. */
  readonly asOf?: Instant;
  /** What a value beyond its view's TTL is answered as, beside its status. Default: null. */
  readonly expired?: 'null' | 'value';
  /** What a view without a live generation is: refused (the default), or one without rows. */
  readonly unpublished?: 'refuse' | 'empty';
}

/** Reads the online store. All rows of one view in an answer come from one generation. */
export class OnlineReader {
  constructor(private readonly db: Database) {}

  async read(project: ProjectName, question: OnlineQuestion): Promise<OnlineAnswer> {
    throw new DomainError('not_implemented', 'Not yet.', { project, question, pool: typeof this.db });
  }
}
