import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { DomainError, errorTable, isDomainError, type ErrorCode } from '../../domain/errors.js';

/** One server-sent event. */
export interface ApiEvent {
  readonly event: string;
  readonly data: unknown;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

export interface ApiOptions {
  readonly url: string;
  readonly project: string;
  /** For how long a request is repeated while nobody answers; a POST keeps its Idempotency-Key, so it is done once. */
  readonly retryMs?: number;
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

const requestMs = 100_000;
const retryStepMs = 250;
const pageSizeMax = 1000;

/** The API of one project, over HTTP. What it refuses is thrown as the `DomainError` that it was there. */
export class ApiClient {
  constructor(private readonly options: ApiOptions) {}

  get<Body>(path: string, query: Query = {}): Promise<Body> {
    return this.json<Body>('GET', path, { query });
  }

  post<Body>(path: string, body: unknown = {}): Promise<Body> {
    return this.json<Body>('POST', path, { body, key: randomUUID() });
  }

  /** Sends bytes as they are; the same bytes may be sent again. */
  async send<Body>(path: string, bytes: Buffer, type: string): Promise<Body> {
    return this.json<Body>('POST', path, { bytes: { of: bytes, type } });
  }

  /** What the API answers with, piece by piece. */
  async download(path: string): Promise<ReadableStream<Uint8Array>> {
    const answer = await this.request('GET', path, { stream: true });
    return answer.body ?? new ReadableStream();
  }

  async delete(path: string): Promise<void> {
    await this.request('DELETE', path, {});
  }

  async text(path: string): Promise<string> {
    const answer = await this.request('GET', path, {});
    return answer.text().catch((error: unknown) => {
      throw this.unreachable(error);
    });
  }

  /** The pages of a list, until it ends or there are `limit` rows. */
  async list<Item>(path: string, limit: number, query: Query = {}): Promise<Page<Item>> {
    const items: Item[] = [];
    let next: string | null = null;
    do {
      const size = Math.min(limit - items.length, pageSizeMax);
      const page: Page<Item> = await this.get(path, { ...query, limit: size, after: next ?? undefined });
      items.push(...page.items);
      next = page.next;
    } while (next !== null && items.length < limit);
    return { items, next };
  }

  /** The events of a stream until it breaks off or ends. */
  async *events(path: string): AsyncGenerator<ApiEvent> {
    const answer = await this.request('GET', path, { stream: true });
    let text = '';
    try {
      for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const event = parseEvent(text.slice(0, end));
          text = text.slice(end + 2);
          if (event) yield event;
        }
      }
    } catch (error) {
      throw this.unreachable(error);
    }
  }

  private async json<Body>(method: string, path: string, options: RequestOptions): Promise<Body> {
    const answer = await this.request(method, path, options);
    return (await answer.json().catch((error: unknown) => {
      throw this.unreachable(error);
    })) as Body;
  }

  private async request(method: string, path: string, options: RequestOptions): Promise<Response> {
    for (const deadline = performance.now() + (this.options.retryMs ?? 0); ; await pause(retryStepMs)) {
      try {
        return await this.attempt(method, path, options);
      } catch (error) {
        if (!isDomainError(error) || !error.row.retry || performance.now() >= deadline) throw error;
      }
    }
  }

  private async attempt(method: string, path: string, options: RequestOptions): Promise<Response> {
    const { body, bytes, query = {}, key, stream } = options;
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    );
    const search = given.length > 0 ? `?${new URLSearchParams(given as [string, string][]).toString()}` : '';
    const answer = await fetch(`${this.base(path)}${search}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(bytes === undefined ? {} : { 'content-type': bytes.type }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: bytes?.of ?? (body === undefined ? undefined : JSON.stringify(body)),
      // The answer of a stream begins at once, and then lasts as long as what it tells of.
      signal: stream ? undefined : AbortSignal.timeout(requestMs),
    }).catch((error: unknown) => {
      throw this.unreachable(error);
    });
    if (!answer.ok) throw await refusal(answer, this.options.url);
    return answer;
  }

  /** Paths are of the project; `/projects` is of none. */
  private base(path: string): string {
    const root = `${this.options.url.replace(/\/+$/, '')}/api/v1`;
    return path === '/projects'
      ? `${root}${path}`
      : `${root}/projects/${encodeURIComponent(this.options.project)}${path}`;
  }

  private unreachable(error: unknown): DomainError {
    const { cause, message } = error as { cause?: { message?: string; code?: string }; message?: string };
    const reason = cause?.code ?? cause?.message ?? message ?? 'no answer';
    const { url } = this.options;
    return new DomainError('api_unreachable', `Nothing answers at ${url} (${reason}).`, { url }, { cause: error });
  }
}

interface RequestOptions {
  readonly body?: unknown;
  readonly bytes?: { readonly of: Buffer; readonly type: string };
  readonly query?: Query;
  readonly key?: string;
  readonly stream?: boolean;
}

/** The error that the API answered with; an answer that is no problem came from somebody else. */
async function refusal(answer: Response, url: string): Promise<DomainError> {
  const text = await answer.text().catch(() => '');
  const problem = parseJson(text) as { code?: string; detail?: string; data?: Record<string, unknown> } | null;
  if (typeof problem?.code !== 'string')
    return new DomainError('api_unreachable', `What answers at ${url} is not Eider (status ${answer.status}).`, {
      url,
    });
  const { code, detail = '', data = {} } = problem;
  if (code in errorTable) return new DomainError(code as ErrorCode, detail, data);
  return new DomainError('internal', `${detail} (${code}, which this version does not know.)`, data);
}

function parseEvent(block: string): ApiEvent | null {
  const fields = block.split('\n').map((line) => /^(event|data): ?(.*)$/.exec(line));
  const event = fields.find((field) => field?.[1] === 'event')?.[2];
  const data = fields.flatMap((field) => (field?.[1] === 'data' ? [field[2]] : [])).join('\n');
  return event === undefined ? null : { event, data: parseJson(data) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // Not JSON: whoever asked decides what that means.
  }
}
