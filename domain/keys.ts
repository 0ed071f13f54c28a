import { z } from 'zod';
import { DomainError } from './errors.js';
import type { Instant, ProjectName, Sha256 } from './ids.js';
import { fromDate } from './instants.js';
import { sha256 } from './json.js';
import { InstantSchema, ProjectNameSchema, Sha256Schema } from './names.js';

/** Who may call, as a line of a file of keys says it; the key itself is nowhere, only its SHA-256. */
export interface AccessKey {
  /** The principal of its calls, and its user name. */
  readonly name: string;
  readonly hash: Sha256;
  readonly projects: readonly ProjectName[] | 'all';
  readonly expiresAt: Instant | null;
}

export interface KeyFile {
  readonly keys: readonly AccessKey[];
  /** What is wrong with lines that are no keys, by their number and without their text. */
  readonly mistakes: readonly string[];
}

const keysMax = 1000;
/** So that whoever finds one in a log or in a repository knows what it is. */
const keyPrefix = 'eider_';
const all = '*';
const never = 'never';

const PrincipalName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be lower case letters, digits, - and _, starting with a letter')
  .refine((name) => name !== 'anonymous', 'must not be what callers without a key are called');

const words = ['name', 'hash', 'projects', 'expiry'];
const Line = z.tuple([
  PrincipalName,
  z
    .string()
    .regex(/^sha256:/, 'must begin with sha256:')
    .transform((text) => text.slice('sha256:'.length))
    .pipe(Sha256Schema),
  z.union(
    [
      z.literal(all).transform(() => 'all' as const),
      z
        .string()
        .transform((text) => text.split(','))
        .pipe(z.array(ProjectNameSchema)),
    ],
    `must be names with commas between them, or ${all}`,
  ),
  z.union([z.literal(never).transform(() => null), InstantSchema], `must be an instant, or ${never}`),
]);

/**
 * `NAME sha256:HEX PROJECTS EXPIRY`, a key a line: projects are names with commas between them, or `*`; the expiry is an
 * instant, or `never`. A line that begins with # is a comment.
 */
export function readKeys(text: string): KeyFile {
  const keys: AccessKey[] = [];
  const mistakes: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue;
    const read = readLine(line);
    if (typeof read === 'string') mistakes.push(`line ${index + 1}: ${read}`);
    else if (keys.some(({ name }) => name === read.name)) mistakes.push(`line ${index + 1}: the name is taken`);
    else if (keys.length >= keysMax) mistakes.push(`line ${index + 1}: there are ${keysMax} keys already`);
    else keys.push(read);
  }
  return { keys, mistakes };
}

/** What is wrong with it, if it is no key. */
function readLine(line: string): AccessKey | string {
  const parts = line.trim().split(/\s+/);
  if (parts.length !== 4) return `it has ${parts.length} words, not NAME HASH PROJECTS EXPIRY`;
  const parsed = Line.safeParse(parts);
  const [mistake] = parsed.error?.issues ?? [];
  if (mistake) return `the ${words[Number(mistake.path[0])]} ${mistake.message}`;
  if (!parsed.success) return 'it is no key';
  const [name, hash, projects, expiresAt] = parsed.data;
  return { name, hash, projects, expiresAt };
}

export const keyLine = ({ name, hash, projects, expiresAt }: AccessKey): string =>
  `${name} sha256:${hash} ${projects === 'all' ? all : projects.join(',')} ${expiresAt ?? never}`;

/** One that nobody can guess, so its plain SHA-256 can be kept: `random` are 32 bytes. Throws `request_invalid`. */
export function newKey(
  wanted: { readonly name: string; readonly projects: string; readonly expiresAt: string | null },
  random: Buffer,
): { readonly secret: string; readonly key: AccessKey } {
  const secret = `${keyPrefix}${random.toString('base64url')}`;
  const line = `${wanted.name} sha256:${hashKey(secret)} ${wanted.projects} ${wanted.expiresAt ?? never}`;
  const read = readLine(line);
  if (typeof read === 'string') throw new DomainError('request_invalid', `This cannot be a key: ${read}.`);
  return { secret, key: read };
}

export const hashKey = (secret: string): Sha256 => sha256(secret);

export const isExpired = ({ expiresAt }: Pick<AccessKey, 'expiresAt'>, now: Date): boolean =>
  expiresAt !== null && expiresAt <= fromDate(now);
