import type { z } from 'zod';
import type { ProjectName } from '../../domain/ids.js';
import type { TableRef } from '../../domain/tables.js';
import type { ReadPlan } from '../../lake/read/plan.js';
import type { Call } from './call.js';
import type { FlightDescriptor } from './protocol.js';

/** What a ticket says besides who may use it and until when: its kind and what that kind needs to find the same rows again. */
export type Content = { readonly kind: string } & Readonly<Record<string, unknown>>;

/** What a descriptor or a ticket stands for, pinned: it is described, and read again and again with the same result. */
export interface Readable {
  /** One for each endpoint, in the order of the rows. */
  readonly contents: readonly Content[];
  /** When it names one itself, as a path does; otherwise the project of the call. */
  readonly project?: ProjectName;
  /** Snapshots that must stay while a ticket is good. */
  readonly pins: readonly TableRef[];
  /** Null: not known before it was read. */
  readonly rows: number | null;
  readonly bytes: number | null;
  /** `app_metadata` of the FlightInfo, as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

export type Source =
  /** Read by DuckDB. */
  | {
      readonly type: 'plan';
      readonly plan: ReadPlan;
      /** False when reading it twice need not give the same rows in the same order. */
      readonly repeatable: boolean;
      /** Of the answer's schema, known already. */
      readonly schema?: Buffer;
    }
  /** Small and made here: the bare flatbuffer Message of the schema, and all FlightData messages as gRPC frames, the schema first. */
  | { readonly type: 'ready'; readonly schema: Buffer; readonly frames: readonly Buffer[] };

/** One sort of thing that can be read: by a descriptor, and by what its tickets say. */
export interface ReadableKind<Said extends Content> {
  /** Of what its tickets say. */
  readonly content: z.ZodType<Said>;
  /** Null: the descriptor is not of this kind. Throws when it is and names nothing. */
  resolve(descriptor: FlightDescriptor, call: Call): Promise<Readable | null>;
  /** What a ticket of this kind stands for, alone: `contents` has that content only. */
  open(content: Said, call: Call): Promise<Readable>;
}
