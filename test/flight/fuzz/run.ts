import { until } from '../../../programs/waiting.js';
import { createCaller, type Caller, type Outcome } from './caller.js';
import { caseOf, type FuzzCase, type Material } from './cases.js';
import { flightMessage } from './messages.js';
import { knownIsWhole } from './material.js';
import { keys, type FuzzedServer } from './served.js';

/** What a client may be told about what it sent; everything else would be a fault of the server's. */
const answersAllowed = new Set([
  'OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'PERMISSION_DENIED', 'UNAUTHENTICATED', 'UNIMPLEMENTED', 'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION', 'OUT_OF_RANGE', 'DEADLINE_EXCEEDED', 'CANCELLED',
]); // prettier-ignore

export interface FuzzRun {
  readonly seed: number;
  readonly cases: number;
  readonly batch: number;
  /** What the server's memory may grow by after the first batch. */
  readonly growthBytesMax: number;
  readonly tell: (line: string) => void;
}

/** Cases that went wrong, with all that is needed to send them again; empty when all was well. */
export interface FuzzResult {
  readonly faults: readonly string[];
  /** How often each answer was given. */
  readonly answers: Readonly<Record<string, number>>;
  readonly growthBytes: number;
}

const atOnce = 16;
const faultsMax = 40;
const idleMs = 15_000;

/** Sends the cases in batches; after each the server is as it was. */
export async function fuzz(server: FuzzedServer, material: Material, run: FuzzRun): Promise<FuzzResult> {
  const caller = createCaller(server.port);
  const faults: string[] = [];
  const blame = (fault: string) => {
    faults.push(fault);
    run.tell(`${fault.slice(0, 500)} … ${fault.slice(-900)}`);
  };
  const answers: Record<string, number> = {};
  let base: { rss: number; files: number } | null = null;
  let growthBytes = 0;
  for (let from = 0; from < run.cases && faults.length < faultsMax; from += run.batch) {
    const began = Date.now();
    const count = Math.min(run.batch, run.cases - from);
    const sessions: string[] = [];
    await sideBySide(count, async (index) => {
      const number = from + index;
      const fuzzed = caseOf(run.seed, number, material);
      const sent = Date.now();
      const outcome = await caller.send(fuzzed);
      const key = `${fuzzed.what}: ${outcome.code ?? outcome.status}`;
      answers[key] = (answers[key] ?? 0) + 1;
      if (outcome.session !== null) sessions.push(outcome.session);
      const fault = faultOf(fuzzed, outcome, Date.now() - sent) ?? server.death();
      if (fault !== null)
        blame(`case ${number} of seed ${run.seed}: ${fault}\n${described(fuzzed)}\n${server.log().split('\n').at(-1)}`);
    });
    await Promise.all(sessions.map((session) => closeSession(caller, session)));
    (await leftOf(server, base?.files ?? Infinity)).forEach(blame);
    if (server.death() !== null) break;
    const rss = server.rssBytes();
    base ??= { rss, files: server.openFiles() };
    growthBytes = Math.max(growthBytes, rss - base.rss);
    if (rss - base.rss > run.growthBytesMax) blame(`memory grew by ${megabytes(rss - base.rss)} MB`);
    run.tell(`${from + count} cases, ${Date.now() - began} ms, ${megabytes(rss)} MB, ${server.openFiles()} open files, ${faults.length} faults`); // prettier-ignore
  }
  caller.close();
  return { faults, answers, growthBytes };
}

export const megabytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

async function sideBySide(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** No answer of gRPC's own codes for faults, no code of ours for them, and none that takes forever. */
function faultOf({ end }: FuzzCase, { status, code, details }: Outcome, tookMs: number): string | null {
  const answer = `${status} ${code ?? 'without a code'} after ${tookMs} ms: ${details}`;
  if (code === 'internal' || !answersAllowed.has(status)) return answer;
  if (end !== 'hold' && status === 'DEADLINE_EXCEEDED' && code === null) return `hangs: ${answer}`;
  return null;
}

/** What should have gone with the calls. */
async function leftOf(server: FuzzedServer, filesBefore: number): Promise<string[]> {
  if (server.death() !== null) return [`the server is dead: ${server.death()}\n${server.log()}`];
  const left: string[] = [];
  if (!(await knownIsWhole(server.port).catch(() => false))) left.push('a table that nobody touched does not read as it was written'); // prettier-ignore
  if (!(await until(async () => (await server.leases()) === 0, idleMs))) left.push(`${await server.leases()} leases are left`); // prettier-ignore
  if (!(await until(() => server.scratchFiles().length === 0, idleMs))) left.push(`files are left: ${server.scratchFiles().join(', ')}`); // prettier-ignore
  if (!(await until(() => server.openFiles() <= filesBefore + openFilesMore, idleMs))) left.push(`${server.openFiles()} files are open, ${filesBefore} were`); // prettier-ignore
  return left;
}

/** Threads and kept connections come and go. */
const openFilesMore = 32;

function closeSession(caller: Caller, session: string): Promise<Outcome> {
  const metadata = { authorization: `Bearer ${keys.alice}`, arrow_flight_session_id: session };
  const messages = [flightMessage('Action', { type: 'CloseSession', body: Buffer.alloc(0) })];
  return caller.send({ what: 'tidy', method: 'DoAction', messages, metadata, end: 'close' });
}

const excerptMax = 4_000;

function described({ what, method, messages, frames, metadata, end }: FuzzCase): string {
  const bytes = (frames ?? messages).map((one) => one.toString('base64')).join(' ');
  const text = (frames ?? messages).map((one) => one.toString('latin1').replace(/[^ -~]/g, '.')).join(' ');
  return `${what} ${method} ${end} ${JSON.stringify(metadata).slice(0, 200)}\n${text.slice(0, 300)}\n${bytes.slice(0, excerptMax)}`;
}
