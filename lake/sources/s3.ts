import { AwsClient } from 'aws4fetch';
import picomatch from 'picomatch';
import { DomainError } from '../../domain/errors.js';
import { digestOf } from '../../domain/json.js';
import type { S3Access, SourceAccess } from '../access.js';
import { quoteText } from '../duckdb.js';
import { isGlob, requireFiles } from './files.js';
import { copyRows, requireImports, type Importer } from './importer.js';
import { readerOf } from './readers.js';
import { changed, missing, notAllowed, pinnedCopy, reachClause, type Source, type SourceFormat } from './source.js';

/** Parquet, CSV and JSON in S3. The listing before a copy and the one after it must be the same. */
export const s3Files: SourceFormat = {
  version: async (source, access) => versionOf(source, await sourceObjects(source, access)),

  async pin(session, source, access, reach) {
    const objects = await sourceObjects(source, access);
    const version = versionOf(source, objects);
    const now = async () => versionOf(source, await sourceObjects(source, access));
    const urls = objects.map(({ url }) => url);
    const rows = await copyRows(
      session,
      access,
      s3Importer(source, access, []),
      async (inside) => `SELECT * FROM ${await readerOf(inside, source, urls)}${reachClause(source, reach)}`,
    ).catch(async (error: unknown) => {
      throw (await now().catch(() => null)) === version ? error : changed(source, error);
    });
    if ((await now()) !== version) throw changed(source);
    return pinnedCopy(source, version, rows);
  },
};

export interface S3Object {
  readonly url: string;
  /** Size, ETag and time of change. */
  readonly state: string;
}

const versionOf = ({ hash }: Source, objects: readonly S3Object[]): string =>
  digestOf({ definition: hash, states: objects.map(({ url, state }) => [url, state]) });

/** An engine that knows the keys, for paths of S3; for others as it would be without them. */
export function s3Importer(source: Source, access: SourceAccess, extensions: Importer['extensions']): Importer {
  if (!source.spec.path?.startsWith('s3://')) return { source, extensions };
  const { s3 } = requireImports(source, access);
  const endpoint = s3.endpoint === null ? null : new URL(s3.endpoint);
  const fields = {
    KEY_ID: s3.accessKeyId,
    SECRET: s3.secretAccessKey,
    SESSION_TOKEN: s3.sessionToken,
    REGION: s3.region,
    ENDPOINT: endpoint?.host ?? null,
    URL_STYLE: endpoint && 'path',
  };
  const given = Object.entries(fields).flatMap(([name, value]) => (value ? [`${name} ${quoteText(value)}`] : []));
  const plain = endpoint?.protocol === 'http:' ? ', USE_SSL false' : '';
  return {
    source,
    extensions: ['httpfs', ...extensions],
    prepare: [`CREATE SECRET (TYPE s3, PROVIDER config, ${given.join(', ')}${plain})`],
    secrets: [s3.secretAccessKey ?? '', s3.sessionToken ?? ''],
  };
}

const objectCountMax = 10_000;

/** The objects behind the path, sorted; the path must begin with a root that this server may read. */
async function sourceObjects(source: Source, access: SourceAccess): Promise<S3Object[]> {
  const path = source.spec.path ?? '';
  requireS3Root(source, access);
  const matches = isGlob(path) ? picomatch(path) : (url: string) => url === path;
  const found = (await listObjects(source, access, path.slice(0, /[*?[{]|$/.exec(path)?.index))).filter(({ url }) =>
    matches(url),
  );
  if (found.length > objectCountMax)
    throw new DomainError(
      'resource_invalid',
      `Source "${source.name}": ${found.length} objects match ${path}; at most ${objectCountMax} are read.`,
      { source: source.name },
    );
  requireFiles(
    source,
    found.map(({ url }) => url),
  );
  return found.sort((one, other) => (one.url < other.url ? -1 : 1));
}

export function requireS3Root(source: Source, { roots }: SourceAccess): void {
  const path = source.spec.path ?? '';
  const climbs = path.split('/').some((part) => part === '..' || part === '.');
  if (climbs || !roots.some((root) => root.startsWith('s3://') && (path === root || path.startsWith(`${root}/`))))
    throw notAllowed(source);
}

const pagesMax = 1_000;
const listTimeoutMs = 30_000;

/** All objects whose URL begins so, with what tells their state. */
export async function listObjects(source: Source, access: SourceAccess, prefix: string): Promise<S3Object[]> {
  const { s3 } = requireImports(source, access);
  const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(prefix) ?? [];
  const objects: S3Object[] = [];
  let token: string | undefined;
  for (let page = 0; page < pagesMax; page++) {
    const query = new URLSearchParams({ 'list-type': '2', prefix: key, 'encoding-type': 'url' });
    if (token !== undefined) query.set('continuation-token', token);
    const base = s3.endpoint ?? `https://s3.${s3.region}.amazonaws.com`;
    const text = await listPage(source, s3, `${base.replace(/\/$/, '')}/${bucket}?${query.toString()}`);
    for (const [, contents = ''] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
      const field = (name: string) => new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(contents)?.[1] ?? '';
      const name = decodeURIComponent(field('Key').replaceAll('+', ' '));
      const state = [field('Size'), field('ETag').replaceAll('&quot;', '"'), field('LastModified')].join(' ');
      objects.push({ url: `s3://${bucket}/${name}`, state });
    }
    token = /<NextContinuationToken>(.*?)<\/NextContinuationToken>/s.exec(text)?.[1];
    if (token === undefined) return objects;
  }
  throw new DomainError('resource_invalid', `Source "${source.name}": ${prefix} holds too many objects to list.`, {
    source: source.name,
  });
}

async function listPage(source: Source, s3: S3Access, url: string): Promise<string> {
  const { accessKeyId, secretAccessKey, sessionToken, region } = s3;
  const request = { signal: AbortSignal.timeout(listTimeoutMs) };
  const signed =
    accessKeyId === null || secretAccessKey === null
      ? null
      : new AwsClient({ accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }), region, service: 's3', retries: 3 }); // prettier-ignore
  const answer = await (signed?.fetch(url, request) ?? fetch(url, request)).catch((error: unknown) => {
    const reason = (error as { cause?: { message?: string } }).cause?.message ?? (error as Error).message;
    throw new DomainError('source_unreachable', `Source "${source.name}": ${new URL(url).host} does not answer: ${reason}.`, { source: source.name }); // prettier-ignore
  });
  const text = await answer.text();
  if (answer.ok) return text;
  const code = /<Code>(.*?)<\/Code>/.exec(text)?.[1] ?? String(answer.status);
  if (answer.status >= 500)
    throw new DomainError('source_unreachable', `Source "${source.name}": S3 answered ${answer.status}, ${code}.`, {
      source: source.name,
    });
  if (code === 'NoSuchBucket') throw missing(source, `${source.spec.path}, whose bucket does not exist.`);
  throw new DomainError('source_unreadable', `Source "${source.name}": S3 refused to list it: ${code}.`, {
    source: source.name,
  });
}
