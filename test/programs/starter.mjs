/** Starts what it is told, holding its stdin open, and stays: node starter.mjs COMMAND ARGUMENTS… */
import { spawn } from 'node:child_process';

const [command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ['pipe', 'inherit', 'inherit'], detached: true });
console.log(child.pid);
setInterval(() => {}, 1000);
