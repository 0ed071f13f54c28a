import type { Frame } from './batch.js';
import type { Failure } from './failure.js';
import type { Lent } from './connections.js';
import type { Pointer } from './library.js';
import type { Compression, Description, ReadPlan } from './plan.js';

/** What a thread answers at once, without a stream. */
export interface Questions {
  /** Prepares a plan and does not run it. */
  describe: { readonly ask: ReadPlan; readonly answer: Description };
  /** Runs a query of ours with texts for its parameters; answers the text in the first column of the first row. */
  text: {
    readonly ask: { readonly setup: readonly string[]; readonly sql: string; readonly values: readonly string[] };
    readonly answer: string;
  };
}
export type Question = keyof Questions;

/** To a worker thread: a stream is opened, pulled from and closed; every pull is answered once, in order, up to the end, which closes it. */
export type ToWorker =
  | {
      readonly type: 'open';
      readonly stream: number;
      /** For this stream alone, until `closed`. */
      readonly lent: Lent;
      /** How many times it is pulled from at once. */
      readonly pulls: number;
      readonly plan: ReadPlan;
      readonly lakeRoot: string;
      readonly compression: Compression;
      /** One int32, set to 1 when the stream is no longer wanted. */
      readonly cancelled: SharedArrayBuffer;
    }
  /** `spare` is memory of an earlier batch, to be used again. */
  | { readonly type: 'pull'; readonly stream: number; readonly spare?: ArrayBuffer }
  | { readonly type: 'close'; readonly stream: number }
  | { readonly type: 'ask'; readonly call: number; readonly lent: Lent; readonly lakeRoot: string; readonly question: Question; readonly ask: unknown } // prettier-ignore
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'batch'; readonly stream: number; readonly frame: Frame }
  | { readonly type: 'end'; readonly stream: number }
  | { readonly type: 'failed'; readonly stream: number; readonly failure: Failure }
  | { readonly type: 'closed'; readonly stream: number }
  | { readonly type: 'answered'; readonly call: number; readonly answer: unknown; readonly prepared: Pointer }
  | { readonly type: 'refused'; readonly call: number; readonly failure: Failure };
