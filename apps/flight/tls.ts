import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { Logger } from '../log.js';

export interface TlsFiles {
  /** PEM: the service's certificate first, then those between it and the authority that clients know. */
  readonly certificate: string;
  readonly key: string;
}

export interface RenewedCredentials {
  readonly credentials: ServerCredentials;
  stop(): void;
}

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Certificates are renewed days before they expire. */
const lookEveryMs = 10_000;

/** grpc-js takes a new certificate into running servers, but only its own credentials may say so. */
class FileCredentials extends ServerCredentials {
  constructor({ cert, key }: Pair) {
    super({ requestCert: false }, { cert: [cert], key: [key] });
  }
  renew({ cert, key }: Pair): void {
    this.updateSecureContextOptions({ cert: [cert], key: [key] });
  }
  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/**
 * TLS by two files; a renewed pair serves new connections soon after it was written. A pair that does not fit together, as
 * while one of the files is being written, is not taken. Throws `config_invalid`.
 */
export async function fileCredentials(
  files: TlsFiles,
  log: Logger,
  everyMs: number = lookEveryMs,
): Promise<RenewedCredentials> {
  let pair = await read(files).catch((error: unknown) => {
    throw new DomainError('config_invalid', `EIDER_TLS_CERT ${files.certificate} and EIDER_TLS_KEY ${files.key} are no certificate and its key: ${(error as Error).message}.`, { ...files }, { cause: error }); // prettier-ignore
  });
  const credentials = new FileCredentials(pair);
  const look = async () => {
    const next = await read(files);
    if (next.cert.equals(pair.cert) && next.key.equals(pair.key)) return;
    credentials.renew((pair = next));
    log.info('the certificate was renewed', { ...files });
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => log.warn('the certificate was not read again', { ...files, error }));
  }, everyMs).unref();
  return { credentials, stop: () => clearInterval(timer) };
}

async function read({ certificate, key }: TlsFiles): Promise<Pair> {
  const pair = { cert: await readFile(certificate), key: await readFile(key) };
  createSecureContext(pair);
  return pair;
}
