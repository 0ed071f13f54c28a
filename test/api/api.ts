import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Problem } from '../../apps/api/problem.js';
import type { Database } from '../../store/db.js';
import { withDatabase } from '../support/database.js';
import { serveApi, type ServedApi } from '../support/served-api.js';
import { withTemporal, type TestTemporal } from '../support/temporal.js';

export interface Answer<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
  readonly text: string;
}

export interface TestApi extends Omit<ServedApi, 'close'> {
  readonly db: Database;
  readonly databaseUrl: string;
  readonly server: TestTemporal;
  /** Holds `data`, which sources may lie in, and `artifacts`. */
  readonly home: string;
  readonly logged: string[];
  call<Body = never>(
    method: string,
    url: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer<Body>>;
  /** The problem that the call is answered with; fails when it is not one. */
  problem(method: string, url: string, body?: unknown, headers?: Record<string, string>): Promise<Problem>;
  close(): Promise<void>;
}

/** The API on a real database and a real Temporal server; `address` sends it to another Temporal. */
export async function withApi(overrides: { address?: string } = {}): Promise<TestApi> {
  const [{ db, url: databaseUrl, close: closeDatabase }, server] = await Promise.all([withDatabase(), withTemporal()]);
  const home = await realpath(await mkdtemp(join(tmpdir(), 'eider-api-')));
  const logged: string[] = [];
  const over = { db, home, temporal: { ...server, ...overrides } };
  const { app, url, temporal, close } = await serveApi(over, (line) => logged.push(line));

  async function call<Body>(method: string, path: string, payload?: unknown, headers: Record<string, string> = {}) {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: payload === undefined ? headers : { 'content-type': 'application/json', ...headers },
      body: payload === undefined || typeof payload === 'string' ? payload : JSON.stringify(payload),
    });
    const text = await answer.text();
    const json = answer.headers.get('content-type')?.includes('json') && text !== '';
    return { status: answer.status, headers: answer.headers, body: (json ? JSON.parse(text) : null) as Body, text };
  }
  return {
    ...{ app, url, db, databaseUrl, temporal, server, home, logged, call },
    async problem(method, path, payload, headers) {
      const answer = await call<Problem>(method, path, payload, headers);
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      expect(answer.body.status).toBe(answer.status);
      return answer.body;
    },
    async close() {
      await close();
      await Promise.all([closeDatabase(), rm(home, { recursive: true, force: true })]);
    },
  };
}
