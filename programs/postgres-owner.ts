import { execFile } from 'node:child_process';
import { chown, readFile, readdir, lstat, mkdir, lchown } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DomainError } from '../domain/errors.js';

const run = promisify(execFile);

/** As whom PostgreSQL runs: it refuses to run as root. */
export interface Owner {
  /** What stands before the program on its command line. */
  readonly prefix: readonly string[];
  /** The user that the data folder must belong to. */
  readonly uid: number;
  readonly gid: number;
}

/**
 * Ourselves, unless we are root. Then, best first: root seen as another user inside a user namespace (no account and no
 * change of owner needed), or really another user that this machine already has. Throws `tool_missing` if neither works.
 */
export async function postgresOwner(program: string): Promise<Owner> {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  if (uid !== 0 || process.platform === 'win32') return { prefix: [], uid, gid };
  const user = await plainUser();
  const unshare = ['unshare', '--user', `--map-user=${user.uid}`, `--map-group=${user.gid}`, '--'];
  if (await runs(unshare, program)) return { prefix: unshare, uid, gid };
  const setpriv = ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--'];
  if (await runs(setpriv, program)) return { prefix: setpriv, ...user };
  throw new DomainError(
    'tool_missing',
    `PostgreSQL refuses to run as root, and neither unshare --user nor setpriv to user ${user.name} works here; ` +
      'run Eider as another user, or set DATABASE_URL.',
    { tool: 'postgres' },
  );
}

async function runs(prefix: readonly string[], program: string): Promise<boolean> {
  const [file = '', ...args] = [...prefix, program, '--version'];
  return run(file, args, { timeout: 10_000, cwd: '/' }).then(
    () => true,
    () => false,
  );
}

/** initdb asks for the name of its user, so it must be one that the machine knows. */
async function plainUser(): Promise<{ name: string; uid: number; gid: number }> {
  const users = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ name, uid }) => name !== '' && uid > 0);
  const found =
    users.find(({ name }) => name === 'postgres') ?? users.find(({ name }) => name === 'nobody') ?? users[0];
  if (found) return found;
  throw new DomainError('tool_missing', 'PostgreSQL refuses to run as root, and /etc/passwd names no other user.');
}

/** Makes the folder and gives it, with all that is in it, to the owner. */
export async function ownFolder(folder: string, owner: Owner): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0 || (await lstat(folder)).uid === owner.uid) return;
  for (const entry of await readdir(folder, { recursive: true }))
    await lchown(join(folder, entry), owner.uid, owner.gid);
  await chown(folder, owner.uid, owner.gid); // Last: its owner says whether the rest was done.
}
