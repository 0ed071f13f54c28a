import { createHash, randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { DomainError } from '../../../domain/errors.js';
import type { Sha256 } from '../../../domain/ids.js';
import { spineLimits } from '../../../domain/spines.js';
import { asWriteFailure } from '../../../lake/snapshots.js';
import { ipcStream } from '../incoming.js';
import type { FlightData } from '../protocol.js';
import { scratchFile } from './joined.js';

/** What a client sent, as one stream of Arrow IPC in a file. */
export interface Received {
  readonly path: string;
  readonly sha256: Sha256;
}

/** Arrow's end of a stream, which Flight has no message for. */
const endOfStream = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

/**
 * Uses the whole of a stream as a file, which is gone afterwards, whatever comes of it. The bytes are those that Arrow
 * writes of the same batches, so a table has one hash, however it is sent. Throws `request_too_large`.
 */
export async function withReceived<Result>(
  where: { readonly scratch: string },
  messages: AsyncIterable<FlightData>,
  use: (received: Received) => Promise<Result>,
): Promise<Result> {
  const path = scratchFile(where, `received-${randomUUID()}.arrows`);
  try {
    return await use({ path, sha256: await receive(path, messages) });
  } finally {
    await rm(path, { force: true });
  }
}

async function receive(path: string, messages: AsyncIterable<FlightData>): Promise<Sha256> {
  const file = await open(path, 'wx');
  const hash = createHash('sha256');
  let bytes = 0;
  async function write(piece: Uint8Array): Promise<void> {
    bytes += piece.length;
    if (bytes > spineLimits.bytes)
      throw new DomainError('request_too_large', `The table has more than ${spineLimits.bytes} bytes.`, { limit: spineLimits.bytes }); // prettier-ignore
    hash.update(piece);
    await file.write(piece).catch((error: unknown) => {
      throw asWriteFailure(error, 'the upload');
    });
  }
  try {
    for await (const piece of ipcStream(messages)) await write(piece);
    await write(endOfStream);
  } finally {
    await file.close();
  }
  return hash.digest('hex') as Sha256;
}
