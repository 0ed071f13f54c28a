import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError, isDomainError, type ErrorCode } from '../../domain/errors.js';
import type { StageProgress } from '../../domain/features.js';
import type { ApiClient } from './client.js';

const retryMs = 300;
const deadlineMs = 120_000;
const pollMs = 100;
const rowsMax = 100_000;

/** The API as the demo uses it: what fails only for now (a process was killed) is asked again until a deadline. */
export interface DemoApi {
  get<Answer>(path: string): Promise<Answer>;
  post<Answer>(path: string, body: object): Promise<Answer>;
  /** Every item of a paged listing. */
  all<Item>(path: string, query?: Readonly<Record<string, string | boolean>>): Promise<readonly Item[]>;
  /** Polls a workflow until it ends; returns its result, or throws with its error's code. */
  result<Result>(workflowId: string, onProgress?: (progress: StageProgress) => void): Promise<Result>;
}

interface WorkflowAnswer<Result> {
  readonly status: string;
  readonly progress: StageProgress | null;
  readonly result: Result;
  readonly error: { readonly code: string; readonly detail: string } | null;
}

export function demoApi(client: ApiClient): DemoApi {
  const get = <Answer>(path: string): Promise<Answer> => persist(() => client.get<Answer>(path));
  return {
    get,
    // Every start has a business key, so asking twice does no harm.
    post: <Answer>(path: string, body: object) => persist(() => client.post<Answer>(path, body)),
    all: async <Item>(path: string, query = {}) => (await persist(() => client.list<Item>(path, rowsMax, query))).items,
    async result<Result>(workflowId: string, onProgress?: (progress: StageProgress) => void) {
      for (;;) {
        const state = await get<WorkflowAnswer<Result>>(`/workflows/${encodeURIComponent(workflowId)}`);
        if (state.progress) onProgress?.(state.progress);
        if (state.status === 'completed') return state.result;
        if (state.error) throw new DomainError(state.error.code as ErrorCode, `${workflowId}: ${state.error.detail}`);
        await sleep(pollMs);
      }
    },
  };
}

/** An answer that breaks off (no error of the table) is as good as none. */
async function persist<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  for (const until = Date.now() + deadlineMs; ; await sleep(retryMs)) {
    try {
      return await call();
    } catch (error) {
      if ((isDomainError(error) && !error.row.retry) || Date.now() > until) throw error;
    }
  }
}
