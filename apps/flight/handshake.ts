import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type { Logger } from '../log.js';
import { authorizationKey, type Access } from './access.js';
import { grpcFailure } from './failures.js';

/** A caller that opens the call and says nothing holds it no longer. */
const greetingMs = 10_000;

interface Greeting {
  readonly payload: Buffer;
}
type HandshakeCall = ServerDuplexStream<Greeting, { readonly protocol_version: number; readonly payload: Buffer }>;

/**
 * Answers a token to whoever says name and key, in metadata or in a first message. Clients look for it in headers, in
 * trailers or in the message; Arrow's for Go wants it in the last two.
 */
export function handshake({ access, log }: { readonly access: Access; readonly log: Logger }) {
  return (call: HandshakeCall): void =>
    void (async () => {
      const first = call.metadata.get(authorizationKey).length > 0 ? null : await firstOf(call);
      const { token } = await access.greeted(call.metadata, first?.payload ?? Buffer.alloc(0));
      const headers = new Metadata();
      headers.set(authorizationKey, `Bearer ${token}`);
      call.sendMetadata(headers);
      if (first) call.write({ protocol_version: 0, payload: Buffer.from(token ?? '') });
      call.end(headers);
    })().catch((error: unknown) => call.emit('error', grpcFailure(error, log)));
}

/** Null when the client says nothing, or not in time. */
async function firstOf(call: HandshakeCall): Promise<Greeting | null> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve) => {
      call.once('data', resolve);
      call.once('end', () => resolve(null));
      call.once('cancelled', () => resolve(null));
      timer = setTimeout(() => resolve(null), greetingMs);
    });
  } finally {
    clearTimeout(timer);
  }
}
