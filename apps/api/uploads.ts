import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createHash, randomUUID } from 'node:crypto';
import { open, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DomainError } from '../../domain/errors.js';
import type { Sha256 } from '../../domain/ids.js';
import { arrowTypes, spineLimits, uploadKey, type ArrowForm } from '../../domain/spines.js';

/** An Arrow table as it arrived: its bytes lie among the artifacts, under their hash. Equal bytes make equal bodies. */
export class Upload {
  constructor(
    readonly sha256: Sha256,
    readonly bytes: number,
    readonly form: ArrowForm,
  ) {}
}

/** The end of the route's pattern: what a caller puts behind a question mark is no address. */
const uploadRoute = '/datasets/spines';

/** Arrow tables are taken at one address only, straight to a file: they may be larger than what fits into memory. */
export function acceptUploads(server: FastifyInstance, artifacts: string): void {
  for (const [form, type] of Object.entries(arrowTypes) as [ArrowForm, string][])
    server.addContentTypeParser(type, { bodyLimit: spineLimits.bytes }, async (request: FastifyRequest) => {
      if (!request.routeOptions.url?.endsWith(uploadRoute)) throw unexpected(type);
      return receive(request, artifacts, form);
    });
}

const unexpected = (type: string) =>
  new DomainError('request_invalid', `${type} is taken by POST /datasets/spines only.`, { type });

async function receive(request: FastifyRequest, artifacts: string, form: ArrowForm): Promise<Upload> {
  // Who says beforehand how much will come need not send it; whoever does not say is stopped on the way.
  requireBytes(Number(request.headers['content-length'] ?? 0));
  const staged = join(artifacts, 'uploads', `.${randomUUID()}`);
  await mkdir(dirname(staged), { recursive: true });
  const file = await open(staged, 'wx');
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of request.raw) {
      bytes += (chunk as Buffer).length;
      requireBytes(bytes);
      hash.update(chunk as Buffer);
      await file.write(chunk as Buffer);
    }
    await file.sync();
    const sha256 = hash.digest('hex') as Sha256;
    // Put once: the same bytes may come again, and at the same time.
    await rename(staged, join(artifacts, uploadKey(sha256)));
    return new Upload(sha256, bytes, form);
  } finally {
    await file.close();
    await rm(staged, { force: true });
  }
}

function requireBytes(bytes: number): void {
  if (bytes <= spineLimits.bytes) return;
  throw new DomainError('request_too_large', `The table has more than ${spineLimits.bytes} bytes.`, {
    limit: spineLimits.bytes,
  });
}
