import { connect, constants, type ClientHttp2Session } from 'node:http2';
import { Client, credentials, Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { codeKey } from '../../../apps/flight/failures.js';
import { service } from '../client.js';
import type { FuzzCase } from './cases.js';

/** What a client hears at the end. */
export interface Outcome {
  readonly status: string;
  /** The stable code; null when it is not the service that answered. */
  readonly code: string | null;
  readonly details: string;
  readonly messages: readonly Buffer[];
  /** Of a session that was opened for it. */
  readonly session: string | null;
}

export interface Caller {
  send(fuzzed: FuzzCase): Promise<Outcome>;
  close(): void;
}

const same = (bytes: Buffer): Buffer => bytes;
/** A call that takes longer hangs. */
export const patienceMs = 30_000;
/** Of a client that says nothing more, but waits. */
const holdMs = 400;
const sessionKey = 'arrow_flight_session_id';
const pathOf = (method: string): string => service[method]?.path ?? `/arrow.flight.protocol.FlightService/${method}`;

/** Sends cases as they are, whatever they are. */
export function createCaller(port: number): Caller {
  const options = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  return {
    send: (fuzzed) => (fuzzed.frames ? sendFrames(port, fuzzed, fuzzed.frames) : sendMessages(client, fuzzed)),
    close: () => client.close(),
  };
}

function sendMessages(client: Client, { method, messages, metadata, end }: FuzzCase): Promise<Outcome> {
  const said = new Metadata();
  for (const [key, value] of Object.entries(metadata)) said.set(key, key.endsWith('-bin') ? Buffer.from(value) : value);
  const deadline = Date.now() + (end === 'hold' ? holdMs : patienceMs);
  const call = client.makeBidiStreamRequest(pathOf(method), same, same, said, { deadline });
  const answers: Buffer[] = [];
  let session: string | null = null;
  call.on('metadata', (headers: Metadata) => (session = headers.get(sessionKey)[0]?.toString() ?? null));
  call.on('data', (answer: Buffer) => void (answers.push(answer) > keptMax && answers.pop()));
  call.on('error', () => undefined);
  const outcome = new Promise<Outcome>((resolve) =>
    call.on('status', ({ code, details, metadata: trailers }: StatusObject) =>
      resolve({
        ...{ status: status[code], details, messages: answers, session },
        code: trailers.get(codeKey)[0]?.toString() ?? null,
      }),
    ),
  );
  for (const message of messages) call.write(message);
  if (end === 'close') call.end();
  if (end === 'cancel') setImmediate(() => call.cancel());
  return outcome;
}

/** Memory of the client's is no matter of the test. */
const keptMax = 1_000;

/** On a connection of its own, which is gone afterwards, or in the middle of it. */
async function sendFrames(port: number, fuzzed: FuzzCase, frames: readonly Buffer[]): Promise<Outcome> {
  const connection = connect(`http://127.0.0.1:${port}`);
  connection.on('error', () => undefined);
  try {
    return await framesSent(connection, fuzzed, frames);
  } finally {
    connection.destroy();
  }
}

function framesSent(connection: ClientHttp2Session, fuzzed: FuzzCase, frames: readonly Buffer[]): Promise<Outcome> {
  const { method, metadata, end } = fuzzed;
  const headers = { ':path': pathOf(method), ':method': 'POST', te: 'trailers', 'content-type': 'application/grpc' };
  const stream = connection.request({ ...headers, ...metadata }, { endStream: false });
  const answered: Record<string, unknown> = {};
  stream.on('response', (said) => Object.assign(answered, said));
  stream.on('trailers', (said) => Object.assign(answered, said));
  stream.on('data', () => undefined);
  stream.on('error', () => undefined);
  const over = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), end === 'close' ? patienceMs : holdMs);
  const closed = new Promise<void>((resolve) => stream.once('close', () => resolve()));
  const outcome = closed.then(() => {
    clearTimeout(over);
    return outcomeOf(answered, stream.rstCode, end);
  });
  for (const frame of frames) stream.write(frame);
  if (end === 'close') stream.end();
  if (end === 'cancel') stream.close(constants.NGHTTP2_CANCEL);
  if (end === 'vanish') setImmediate(() => connection.destroy());
  return outcome;
}

function outcomeOf(answered: Record<string, unknown>, reset: number, end: FuzzCase['end']): Outcome {
  const code = answered['grpc-status'];
  const said = { code: (answered[codeKey] as string | undefined) ?? null, messages: [], session: null };
  if (code !== undefined)
    return { ...said, status: status[Number(code)] ?? `status ${String(code)}`, details: String(answered['grpc-message'] ?? '') }; // prettier-ignore
  // As gRPC reads it.
  if (reset === constants.NGHTTP2_ENHANCE_YOUR_CALM) return { ...said, status: 'RESOURCE_EXHAUSTED', details: '' };
  // Reset by itself, or by the server without a status.
  return { ...said, status: end === 'close' && reset !== 0 ? `RESET ${reset}` : 'CANCELLED', details: '' };
}
