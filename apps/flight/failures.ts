import { Metadata, status, type ServerErrorResponse } from '@grpc/grpc-js';
import { asDomainError } from '../../domain/errors.js';
import type { Logger } from '../log.js';

/** The metadata key of the stable code. */
export const codeKey = 'eider-code';

export type GrpcFailure = Pick<ServerErrorResponse, 'code' | 'details' | 'metadata' | 'name' | 'message'>;

/** An error as gRPC shows it: status, sentence and help; the code in the trailing metadata. What is ours alone is logged. */
export function grpcFailure(error: unknown, log: Logger): GrpcFailure {
  const failure = asDomainError(error);
  if (failure.row.http >= 500 && failure.row.grpc === 'INTERNAL') log.error('a call failed', { error });
  const metadata = new Metadata();
  metadata.set(codeKey, failure.code);
  const details = sendable(`${failure.row.title} ${failure.message} ${failure.row.help}`);
  return { code: status[failure.row.grpc], details, metadata, name: failure.name, message: details };
}

/** C++ clients take 8 KiB of metadata, in which three characters stand for each byte that is not plain ASCII. */
const detailsBytesMax = 4_000;

/** Without the end of what is too long, and without the half of a character that grpc-js cannot send. */
function sendable(text: string): string {
  const whole = Buffer.from(text).toString();
  if (encodeURI(whole).length <= detailsBytesMax) return whole;
  let length = Math.min(whole.length, detailsBytesMax);
  const cut = () => Buffer.from(whole.slice(0, length)).toString();
  while (encodeURI(cut()).length > detailsBytesMax) length = Math.floor(length * 0.9);
  return `${cut()} …`;
}
