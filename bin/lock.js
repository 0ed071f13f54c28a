/** One process at a time, by a file that names its holder; the file of a dead holder does not count. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { setTimeout as after } from 'node:timers/promises';

const pollMs = 100;

/** Runs `work` while holding the lock; `onWait` is called once when somebody else has it. */
export async function withLock(file, onWait, work) {
  mkdirSync(dirname(file), { recursive: true });
  let told = false;
  while (!take(file)) {
    if (!told) onWait();
    told = true;
    await after(pollMs);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function take(file) {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, identity(process.pid));
  try {
    linkSync(own, file); // A link is made whole or not at all, and only where nothing is.
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    breakIfStale(file);
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

function breakIfStale(file) {
  const holder = read(file);
  if (holder === null || identity(Number(holder.split(' ')[0])) === holder) return;
  const aside = `${file}.stale-${process.pid}`;
  try {
    renameSync(file, aside);
    // Somebody else broke it first and has taken it since: give it back.
    if (read(aside) !== holder) linkSync(aside, file);
  } catch {
    // Somebody else was faster; the next try will tell.
  }
  rmSync(aside, { force: true });
}

/** Number and start time of a process, so that a later one with the same number is another; empty when there is none. */
function identity(pid) {
  const stat = read(`/proc/${pid}/stat`);
  if (stat !== null) return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  try {
    if (process.platform !== 'linux') process.kill(pid, 0);
    else return '';
    return `${pid} alive`;
  } catch {
    return '';
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
