#!/usr/bin/env node
/**
 * Runs one program and leaves nothing of it behind, whatever happens to whoever started it.
 *
 *   node bin/guard.js --grace-ms N [--signal SIGTERM] [--pid-file FILE] -- COMMAND ARGUMENTS…
 *   node bin/guard.js --grace-ms N [--signal SIGTERM] --end FILE
 *
 * First form: the command gets a process group of its own, and our stdout and stderr. Our stdin is the lifeline: when it
 * closes (the starter is dead, even by kill -9, or lets go) or SIGTERM comes, the group gets the signal, then the grace,
 * then SIGKILL. The same happens to what is left of the group when the command itself ends. The exit code is the command's,
 * 128 + n for signal n, 126 or 127 when it cannot be started. We print nothing.
 * With --pid-file the group is written down, and the file goes with it.
 *
 * Second form: ends what is left of the group in FILE, for the case that the guard was killed too; exits 0 when nothing
 * is left. A process that merely has the same number is told apart by its start time and left alone.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import process from 'node:process';
import { setTimeout as after } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/** Every process under us inherits this mark, so that one that left the group (a daemon) is still found on Linux. */
const markName = 'EIDER_GUARD';
const pollMs = 20;
/** How long SIGKILL may take; a process in uninterruptible sleep can outlast it. */
const killWaitMs = 10_000;

const hasProc =
  readdirSync('/', { withFileTypes: true }).some(({ name }) => name === 'proc') && readStat('self') !== null;

/** State, group and start time (clock ticks since boot, which is named too) of a process; null when there is none. */
function readStat(pid) {
  try {
    // The second field is the program's name in brackets and may hold spaces and brackets of its own.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], group: Number(fields[2]), start: `${bootId()}/${fields[19]}` };
  } catch {
    return null;
  }
}

function bootId() {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

function ps(...args) {
  try {
    return execFileSync('ps', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

/** Tells apart two processes that had the same number; null when the process is gone. */
function startTime(pid) {
  if (!hasProc) return ps('-o', 'lstart=', '-p', String(pid)).trim() || null;
  const stat = readStat(pid);
  return stat === null || stat.state === 'Z' ? null : stat.start;
}

function hasMark(pid, mark) {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
  } catch {
    return false; // gone, or not ours to look at
  }
}

/** All that live (zombies do not): number, group, and whether it carries the mark. */
function living(mark) {
  if (!hasProc) {
    const rows = ps('-A', '-o', 'pid=', '-o', 'pgid=', '-o', 'stat=').trim().split('\n');
    const fields = rows.map((row) => row.trim().split(/\s+/));
    return fields
      .filter(([, , stat]) => stat !== undefined && !stat.startsWith('Z'))
      .map(([pid, group]) => ({ pid: Number(pid), group: Number(group), marked: false }));
  }
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    const stat = readStat(pid);
    if (stat === null || stat.state === 'Z' || stat.state === 'X') return [];
    return [{ pid: Number(pid), group: stat.group, marked: hasMark(pid, mark) }];
  });
}

/** What is left of a group, and of those who left it. `sure` says that nobody else can have the group's number. */
function remains({ pid: group, start, mark }, sure) {
  const all = living(mark);
  const ours = sure || startTime(group) === start || all.some((one) => one.group === group && one.marked);
  const members = all.filter((one) => ours && one.group === group).map(({ pid }) => pid);
  const strays = all.filter((one) => one.marked && !members.includes(one.pid)).map(({ pid }) => pid);
  return { members, strays };
}

function kill(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It went by itself in between.
  }
}

/**
 * Signal, grace, SIGKILL; returns whether nothing is left. Who left the group only ever gets SIGKILL, and only once the
 * command itself is gone: PostgreSQL's own processes are such, and read other signals as orders.
 */
async function endGroup(record, { graceMs, signal }, sure, leaderIsGone) {
  let left = remains(record, sure());
  if (left.members.length > 0) kill(-record.pid, signal);
  const graceEnd = Date.now() + graceMs;
  const giveUp = graceEnd + killWaitMs;
  while (left.members.length + left.strays.length > 0) {
    if (Date.now() > giveUp) return false;
    const graceIsOver = Date.now() >= graceEnd;
    if (graceIsOver && left.members.length > 0) kill(-record.pid, 'SIGKILL');
    if (graceIsOver || leaderIsGone()) for (const pid of left.strays) kill(pid, 'SIGKILL');
    await after(pollMs);
    left = remains(record, sure());
  }
  return true;
}

function writeRecord(file, record) {
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(record));
  renameSync(`${file}.${process.pid}`, file);
}

function readRecord(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null; // none was started, or it ended and took its file along
  }
}

function run(command, args, pidFile, options) {
  const mark = randomUUID();
  const env = { ...process.env, [markName]: `${process.env[markName] ?? ''} ${mark}`.trim() };
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'inherit', 'inherit'], env });
  const record = { pid: child.pid, start: null, mark, guard: { pid: process.pid, start: startTime(process.pid) } };
  if (child.pid !== undefined) {
    record.start = startTime(child.pid);
    if (pidFile !== undefined) writeRecord(pidFile, record);
  }
  let exitCode = null;
  let ending = null;
  const end = () => (ending ??= endGroup(record, options, () => true, () => exitCode !== null)); // prettier-ignore
  child.on('error', (error) => process.exit(error.code === 'ENOENT' ? 127 : 126));
  child.on('exit', (code, signal) => {
    exitCode = code ?? 128 + constants.signals[signal];
    void end().then(() => {
      if (pidFile !== undefined && readRecord(pidFile)?.mark === mark) rmSync(pidFile, { force: true });
      process.exit(exitCode);
    });
  });
  // A terminal's Ctrl-C goes to everybody in front of it; whoever started us decides what it means for us.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGPIPE']) process.on(signal, () => undefined);
  process.on('SIGTERM', () => void end());
  process.stdin.on('end', () => void end()).on('error', () => void end()).on('close', () => void end()).resume(); // prettier-ignore
}

async function endEarlier(file, options) {
  const record = readRecord(file);
  if (record === null) return true;
  const { guard } = record;
  if (!(await endGroup(record, options, () => false, () => startTime(record.pid) !== record.start))) return false; // prettier-ignore
  const giveUp = Date.now() + options.graceMs + killWaitMs;
  while (startTime(guard.pid) === guard.start) {
    if (Date.now() > giveUp) kill(guard.pid, 'SIGKILL');
    if (Date.now() > giveUp + killWaitMs) return false;
    await after(pollMs);
  }
  rmSync(file, { force: true });
  return true;
}

const { values, positionals } = parseArgs({
  options: {
    'grace-ms': { type: 'string' },
    signal: { type: 'string', default: 'SIGTERM' },
    'pid-file': { type: 'string' },
    end: { type: 'string' },
  },
  allowPositionals: true,
});
const options = { graceMs: Number(values['grace-ms']), signal: values.signal };
if (!(options.graceMs >= 0) || !(options.signal in constants.signals)) process.exit(64);
if (values.end !== undefined) process.exit((await endEarlier(values.end, options)) ? 0 : 1);
if (positionals[0] === undefined) process.exit(64);
run(positionals[0], positionals.slice(1), values['pid-file'], options);
