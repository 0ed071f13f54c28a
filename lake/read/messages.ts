import type { Frame } from './batch.js';
import type { Failure } from './failure.js';
import type { Pointer } from './library.js';
import type { QueryPlan } from './query.js';

/** To a worker thread: one stream at a time is opened, pulled from and closed; every `pull` is answered once, in order. */
export type ToWorker =
  | {
      readonly type: 'open';
      readonly stream: number;
      /** Made for this stream; the worker disconnects it at `close`. */
      readonly connection: Pointer;
      readonly plan: QueryPlan;
      /** One int32, set to 1 when the stream is no longer wanted. */
      readonly cancelled: SharedArrayBuffer;
    }
  /** `spare` is memory of an earlier batch, to be used again. */
  | { readonly type: 'pull'; readonly stream: number; readonly spare?: ArrayBuffer }
  | { readonly type: 'close'; readonly stream: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'batch'; readonly stream: number; readonly frame: Frame }
  | { readonly type: 'end'; readonly stream: number }
  | { readonly type: 'failed'; readonly stream: number; readonly failure: Failure }
  | { readonly type: 'closed'; readonly stream: number };
