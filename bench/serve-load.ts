import { Agent, request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';

/** Requests at a fixed rate, whether the server keeps up or not (an open loop), over connections that stay open. */
export interface Load {
  readonly url: string;
  readonly path: string;
  /** Sent in turn. */
  readonly bodies: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
}

export interface Latencies {
  /** Milliseconds, sorted, each from the moment the request was due to the end of its answer. */
  readonly sorted: readonly number[];
  readonly failed: number;
}

/** How long before a request is due the wait stops trusting timers, which come up to a millisecond late. */
const fineMs = 0.5;

/** Counting from when a request was due, not from when it was sent, lets a stalled server show in every request it delays. */
export async function runLoad({ url, path, bodies, perSecond, seconds }: Load): Promise<Latencies> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const latencies: number[] = [];
  let failed = 0;
  const total = perSecond * seconds;
  const answers: Promise<void>[] = [];
  const start = performance.now() + 10;
  for (let index = 0; index < total; index++) {
    const due = start + (index * 1000) / perSecond;
    await waitFor(due);
    const body = bodies[index % bodies.length] ?? '';
    const answer = post(agent, `${url}${path}`, body).then(({ ok }) => {
      latencies.push(performance.now() - due);
      if (!ok) failed++;
    });
    answers.push(answer);
  }
  await Promise.all(answers);
  agent.destroy();
  return { sorted: latencies.sort((a, b) => a - b), failed };
}

export const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

async function waitFor(due: number): Promise<void> {
  const far = due - performance.now() - fineMs;
  if (far > 0) await new Promise((resolve) => setTimeout(resolve, far));
  while (performance.now() < due) await new Promise((resolve) => setImmediate(resolve));
}

export interface ClosedLoad extends Omit<Load, 'perSecond'> {
  readonly connections: number;
}

/** Each connection sends its next request when the last one is answered; how many were answered a second, and how many failed. */
export async function runClosedLoop({
  url,
  path,
  bodies,
  connections,
  seconds,
}: ClosedLoad): Promise<{ perSecond: number; failed: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const began = performance.now();
  const end = began + seconds * 1000;
  let [answered, failed] = [0, 0];
  const connection = async (from: number) => {
    for (let index = from; performance.now() < end; index += connections) {
      const { ok } = await post(agent, `${url}${path}`, bodies[index % bodies.length] ?? '');
      if (ok) answered++;
      else failed++;
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, from) => connection(from)));
  agent.destroy();
  return { perSecond: (answered * 1000) / (performance.now() - began), failed };
}

export function post(agent: Agent, url: string, body: string): Promise<{ ok: boolean; text: string }> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const failed = (error: Error) => resolve({ ok: false, text: error.message });
    const asked = request(url, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ ok: response.statusCode === 200, text: Buffer.concat(chunks).toString() }));
      response.on('error', failed);
    });
    asked.on('error', failed);
    asked.end(body);
  });
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
