/**
 * A program with relatives: node family.mjs FILE [stubborn|brief]. It starts a child in its own group and a daemon in a
 * session of its own, writes all three numbers to FILE, and stays (stubborn: SIGTERM does not move it; brief: it ends).
 */
import { spawn } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';

const [file, manner] = process.argv.slice(2);
const patient = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);";
const kin = (detached) => spawn(process.execPath, ['-e', patient], { detached, stdio: 'inherit' }).pid;
const pids = { program: process.pid, child: kin(false), daemon: kin(true) };
writeFileSync(`${file}.tmp`, JSON.stringify(pids));
renameSync(`${file}.tmp`, file);
if (manner === 'stubborn') process.on('SIGTERM', () => console.log('SIGTERM does not move me'));
if (manner === 'brief') process.exit(3);
setInterval(() => {}, 1000);
