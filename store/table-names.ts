import { DomainError } from '../domain/errors.js';
import type { Instant } from '../domain/ids.js';
import { instant } from '../domain/instants.js';

/** PostgreSQL has no text with a character of code 0. */
const namePattern = /^(?<base>[^@\0]+)(?:@r(?<revision>\d{1,9}))?(?:@s(?<snapshot>\d{1,9})|@t(?<time>[^@]+))?$/;

/** May stand anywhere behind the name: AT puts what it says behind all that is there. */
const rawPattern = /@raw(?=@|$)/;

export interface NamePart {
  readonly base: string;
  readonly revision?: number;
  readonly snapshot?: number;
  readonly time?: Instant;
  /** The rows of the files, also those that pushed ones correct. */
  readonly raw: boolean;
}

/** `VIEW`, `VIEW@r2`, `VIEW@s41`, `VIEW@t2026-11-23T10:00:00Z`, `VIEW@raw`; a revision may come before the snapshot or the time. */
export function namePart(name: string): NamePart {
  const { base, revision, snapshot, time } = namePattern.exec(name.replace(rawPattern, ''))?.groups ?? {};
  if (base === undefined)
    throw new DomainError(
      'table_unknown',
      `"${name}" is not NAME, NAME@r2, NAME@s41, NAME@t2026-11-23T10:00:00Z or NAME@raw.`,
      {
        name,
      },
    );
  return {
    base,
    raw: rawPattern.test(name),
    ...(revision === undefined ? {} : { revision: Number(revision) }),
    ...(snapshot === undefined ? {} : { snapshot: Number(snapshot) }),
    ...(time === undefined ? {} : { time: instant(time) }),
  };
}
