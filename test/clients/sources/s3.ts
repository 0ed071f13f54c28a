import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { AwsClient } from 'aws4fetch';
import type { S3Access } from '../../../lake/access.js';
import { freePort } from '../../programs/started.js';
import { sourcesPython } from './python.js';

export interface TestS3 {
  readonly access: S3Access;
  put(path: string, body: string | Buffer): Promise<void>;
  remove(path: string): Promise<void>;
  /** From now on every request needs a key that the server knows, and it knows none. */
  refuseKeys(): Promise<void>;
  close(): Promise<void>;
}

/** moto's S3: somebody else's server of the protocol, in a process of its own. */
export async function startS3(bucket: string): Promise<TestS3> {
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const server = spawn(await sourcesPython(), ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(server, 'exit');
  await Promise.race([ended.then(() => Promise.reject(new Error('moto ended'))), heard(server.stderr, 'Running on')]);
  const keys = { accessKeyId: 'key', secretAccessKey: 'a-secret' };
  const client = new AwsClient({ ...keys, service: 's3', region: 'us-east-1', retries: 0 });
  const ask = async (method: string, path: string, body?: string | Buffer) => {
    const answer = await client.fetch(`${endpoint}/${path}`, {
      method,
      ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  };
  await ask('PUT', bucket);
  return {
    access: { endpoint, region: 'us-east-1', ...keys, sessionToken: null },
    put: (path, body) => ask('PUT', `${bucket}/${path.split('/').map(encodeURIComponent).join('/')}`, body),
    remove: (path) => ask('DELETE', `${bucket}/${path.split('/').map(encodeURIComponent).join('/')}`),
    refuseKeys: () => ask('POST', 'moto-api/reset-auth', '0'),
    async close() {
      server.kill('SIGTERM');
      await ended;
    },
  };
}

async function heard(stream: NodeJS.ReadableStream, text: string): Promise<void> {
  let said = '';
  for await (const chunk of stream) {
    said += String(chunk);
    if (said.includes(text)) break;
  }
  stream.resume();
}
