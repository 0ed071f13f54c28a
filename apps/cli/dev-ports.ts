import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { DomainError } from '../../domain/errors.js';
import { commandOf } from '../../programs/processes.js';

export interface WantedPort {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Throws `port_busy` naming every busy port and, where it can be seen, the process that has it. */
export async function checkPorts(wanted: readonly WantedPort[]): Promise<void> {
  const results = await Promise.all(wanted.map(async (one) => ({ ...one, problem: await tryPort(one) })));
  const forbidden = results.find(({ problem }) => problem !== null && problem !== 'EADDRINUSE');
  if (forbidden) {
    const detail = `Port ${forbidden.port} (${forbidden.name}) cannot be used on ${forbidden.host}: ${forbidden.problem}.`;
    throw new DomainError('config_invalid', detail, { port: forbidden.port });
  }
  const busy = results.filter(({ problem }) => problem !== null);
  if (busy.length === 0) return;
  const sentences = await Promise.all(
    busy.map(async ({ name, port }) => `Port ${port} (${name}) is already in use${await userOf(port)}.`),
  );
  throw new DomainError('port_busy', sentences.join(' '), { ports: busy.map(({ port }) => port) });
}

function tryPort({ host, port }: WantedPort): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

async function userOf(port: number): Promise<string> {
  const pid = process.platform === 'linux' ? listenerOf(port) : null;
  if (pid === null) return '';
  const command = (await commandOf(pid)).slice(0, 80);
  return ` by process ${pid}${command === '' ? '' : ` (${command})`}`;
}

/** The process that listens on a port, as far as we may see it: its socket's inode is listed in /proc. */
export function listenerOf(port: number): number | null {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listeningInodes(file, port)));
  if (inodes.size === 0) return null;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => openSockets(pid).some((inode) => inodes.has(inode)));
  return found === undefined ? null : Number(found);
}

function listeningInodes(file: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readLines(file)
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(wanted) && fields[3] === '0A') // 0A: listening
    .map((fields) => fields[9] ?? '');
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return []; // A machine without IPv6.
  }
}

function openSockets(pid: string): string[] {
  return entriesOf(`/proc/${pid}/fd`).flatMap((fd) => {
    const socket = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${fd}`));
    return socket?.[1] ? [socket[1]] : [];
  });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // The process ended, or belongs to somebody else.
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ''; // Closed in between.
  }
}
