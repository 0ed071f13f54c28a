import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { defaultProject, type ProjectName } from '../../domain/ids.js';
import { hashKey, isExpired, type AccessKey } from '../../domain/keys.js';
import type { KeySource } from './key-file.js';
import type { Codec } from './protocol.js';

/** Who calls, and what of. */
export interface Caller {
  readonly principal: string;
  readonly projects: AccessKey['projects'];
  /** What its next calls may say instead of name and key; null when they say no such thing. */
  readonly token: string | null;
}

export interface Access {
  /** Throws `unauthenticated`. */
  callerOf(metadata: Metadata): Promise<Caller>;
  /** The same, when metadata says nothing, by the payload of Handshake: a BasicAuth message. */
  greeted(metadata: Metadata, payload: Buffer): Promise<Caller>;
}

/** Metadata in which clients of Flight's first way to authenticate send what Handshake answered. */
export const tokenKey = 'auth-token-bin';
export const authorizationKey = 'authorization';

/** A token is good for so long, and never longer than the key that it was given for. */
const tokenLifetimeMs = 12 * 3_600_000;
const credentialsBytesMax = 4096;

const anonymous: Caller = { principal: 'anonymous', projects: 'all', token: 'anonymous' };

/** For a service on loopback without a file of keys: everybody may everything. */
export const openAccess: Access = {
  callerOf: () => Promise.resolve({ ...anonymous, token: null }),
  greeted: () => Promise.resolve(anonymous),
};

export interface AccessDeps {
  readonly keys: KeySource;
  /** Signs tokens; the same for every process. */
  readonly secret: Buffer;
  readonly basicAuth: Codec<{ readonly username: string; readonly password: string }>;
  readonly now?: () => Date;
}

/** Each call says a key, a name and its key, or a token that those were answered with. */
export function keyedAccess({ keys, secret, basicAuth, now = () => new Date() }: AccessDeps): Access {
  const tokens = signedTokens(secret, now);

  async function good(find: (key: AccessKey) => boolean): Promise<AccessKey> {
    // Every key is compared, so that the time says nothing.
    const [found] = (await keys.current()).filter(find);
    if (found && !isExpired(found, now())) return found;
    throw new DomainError('unauthenticated', 'Its key or token is not known here, was withdrawn, or has expired.');
  }
  const byKey = async (key: string) => {
    const hash = hashKey(key);
    return callerWith(await good((known) => equal(known.hash, hash)), null);
  };
  async function byPassword({ name, password }: { name: string; password: string }): Promise<Caller> {
    const hash = hashKey(password);
    const key = await good((known) => equal(known.hash, hash) && known.name === name);
    return callerWith(key, tokens.sign(key));
  }
  async function byToken(token: string): Promise<Caller> {
    const said = tokens.open(token);
    return callerWith(await good((known) => equal(known.hash, said.hash) && known.name === said.name), null);
  }

  async function said(metadata: Metadata): Promise<Caller | null> {
    const [header] = metadata.get(authorizationKey);
    const [token] = metadata.get(tokenKey);
    if (typeof header === 'string' && header.length <= credentialsBytesMax) {
      const [, scheme = '', credentials = ''] = /^(\w+) +(\S+)$/.exec(header.trim()) ?? [];
      if (/^bearer$/i.test(scheme)) return isToken(credentials) ? byToken(credentials) : byKey(credentials);
      if (/^basic$/i.test(scheme)) return byPassword(passwordOf(credentials));
      throw new DomainError('unauthenticated', 'The metadata "authorization" is neither Bearer nor Basic.');
    }
    return token === undefined ? null : byToken(token.toString());
  }

  return {
    async callerOf(metadata) {
      const caller = await said(metadata);
      if (caller) return caller;
      throw new DomainError('unauthenticated', 'The call has no metadata "authorization".');
    },
    async greeted(metadata, payload) {
      const caller = await said(metadata);
      if (caller) return caller;
      const { username, password } = basicAuthOf(basicAuth, payload);
      return byPassword({ name: username, password });
    },
  };
}

/** Throws `project_forbidden`, whether there is such a project or not. */
export function requireProject({ projects }: Pick<Caller, 'projects'>, project: ProjectName): void {
  if (projects === 'all' || projects.includes(project)) return;
  throw new DomainError('project_forbidden', `The key is not good for project "${project}".`, { project });
}

/** Of a call that names none: the default one, or the first that the key is good for. */
export const projectOf = ({ projects }: Pick<Caller, 'projects'>): ProjectName =>
  projects === 'all' || projects.includes(defaultProject) ? defaultProject : (projects[0] as ProjectName);

const callerWith = ({ name, projects }: AccessKey, token: string | null): Caller => ({ principal: name, projects, token }); // prettier-ignore

/** Of hashes, which have the same length. */
const equal = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** Base64 with or without its padding: Go sends it without. */
function passwordOf(credentials: string): { name: string; password: string } {
  const text = Buffer.from(credentials, 'base64').toString();
  const colon = text.indexOf(':');
  if (colon > 0) return { name: text.slice(0, colon), password: text.slice(colon + 1) };
  throw new DomainError('unauthenticated', 'The metadata "authorization" is not Basic and NAME:KEY in base64.');
}

function basicAuthOf(codec: AccessDeps['basicAuth'], payload: Buffer) {
  if (payload.length === 0 || payload.length > credentialsBytesMax)
    throw new DomainError('unauthenticated', 'Handshake has neither the metadata "authorization" nor name and key.');
  try {
    return codec.deserialize(payload);
  } catch {
    throw new DomainError('unauthenticated', 'The payload of Handshake is no BasicAuth message.');
  }
}

const tokenMark = 'eider-token.';
const isToken = (credentials: string): boolean => credentials.startsWith(tokenMark);

const Said = z.strictObject({ name: z.string(), hash: z.string(), expiresAt: z.int() });

/** `eider-token.`, JSON and its HMAC-SHA256: which key it stands for; nothing is remembered. */
function signedTokens(secret: Buffer, now: () => Date) {
  // Not the key that signs tickets: neither can be taken for the other.
  const key = createHmac('sha256', secret).update('eider flight tokens').digest();
  const macOf = (body: string) => createHmac('sha256', key).update(body).digest();
  return {
    sign({ name, hash }: AccessKey): string {
      const said: z.infer<typeof Said> = { name, hash, expiresAt: now().getTime() + tokenLifetimeMs };
      const body = Buffer.from(JSON.stringify(said)).toString('base64url');
      return `${tokenMark}${body}.${macOf(body).toString('base64url')}`;
    },
    /** Throws `unauthenticated`. */
    open(token: string): z.infer<typeof Said> {
      const [body = '', mac = ''] = isToken(token) ? token.slice(tokenMark.length).split('.') : [];
      const given = Buffer.from(mac, 'base64url');
      const right = macOf(body);
      if (given.length !== right.length || !timingSafeEqual(given, right))
        throw new DomainError('unauthenticated', 'This server did not sign the token.');
      const said = Said.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
      if (said.expiresAt > now().getTime()) return said;
      throw new DomainError('unauthenticated', 'The token has expired; Handshake gives a new one.');
    },
  };
}
