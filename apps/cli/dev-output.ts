import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { styleText } from 'node:util';
import type { OnLine } from '../../programs/program.js';

const logBytesMax = 20 * 1024 * 1024;
const logFilesMax = 3;
const colours = ['cyan', 'magenta', 'green', 'yellow', 'blue', 'red'] as const;

export interface Output {
  /** Where the lines of one process go: `<home>/logs/NAME.log` whole, and to the terminal with its name in front. */
  lineOf(name: string): OnLine;
  /** From now on the lines of a process go to its log only: what it says while it ends is of no use to people. */
  mute(name: string): void;
  /** The supervisor's own words. */
  say(message: string): void;
  logFile(name: string): string;
  close(): void;
}

export interface OutputOptions {
  readonly home: string;
  /** Where the prefixed lines are shown; null shows none. */
  readonly show: ((text: string) => void) | null;
  /** Where the supervisor's own words go. */
  readonly tell: (text: string) => void;
  readonly colour: boolean;
}

export function createOutput({ home, show, tell, colour }: OutputOptions): Output {
  const folder = join(home, 'logs');
  mkdirSync(folder, { recursive: true });
  const files = new Map<string, LogFile>();
  const muted = new Set<string>();
  const logFile = (name: string) => join(folder, `${name}.log`);
  const fileOf = (name: string) => {
    const open = files.get(name) ?? new LogFile(logFile(name));
    files.set(name, open);
    return open;
  };
  const prefixOf = (name: string) => {
    const text = `${name.padEnd(9)}|`;
    return colour ? styleText(colours[[...files.keys()].indexOf(name) % colours.length] ?? 'cyan', text) : text;
  };
  return {
    logFile,
    lineOf(name) {
      const file = fileOf(name);
      const prefix = prefixOf(name);
      return (line) => {
        file.append(`${line}\n`);
        if (!muted.has(name)) show?.(`${prefix} ${readable(line, colour)}\n`);
      };
    },
    mute: (name) => void muted.add(name),
    say(message) {
      fileOf('supervisor').append(`${new Date().toISOString()} ${message}\n`);
      tell(`${prefixOf('eider')} ${message}\n`);
    },
    close() {
      for (const file of files.values()) file.close();
      files.clear();
    },
  };
}

/** Appends to a file and starts a new one when it is full; the last few are kept as NAME.log.1, NAME.log.2 … */
class LogFile {
  private descriptor: number | null = null;
  private bytes = 0;

  constructor(private readonly path: string) {}

  append(text: string): void {
    const descriptor = this.descriptor ?? this.open();
    this.bytes += writeSync(descriptor, text);
    if (this.bytes > logBytesMax) this.rotate();
  }

  close(): void {
    if (this.descriptor !== null) closeSync(this.descriptor);
    this.descriptor = null;
  }

  private open(): number {
    this.descriptor = openSync(this.path, 'a');
    this.bytes = fstatSync(this.descriptor).size;
    return this.descriptor;
  }

  private rotate(): void {
    this.close();
    for (let number = logFilesMax - 1; number >= 1; number--) {
      const from = number === 1 ? this.path : `${this.path}.${number - 1}`;
      try {
        renameSync(from, `${this.path}.${number}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // There are not so many yet.
      }
    }
  }
}

/** Our own JSON lines for people: message, then the fields; other lines as they are. */
function readable(line: string, colour: boolean): string {
  const entry = parseEntry(line);
  if (entry === null) return line;
  const { time: _time, ts: _ts, level, process: _process, message, msg, ready: _ready, ...fields } = entry;
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const text = [String(message ?? msg), ...rest].join(' ');
  if (level !== 'warn' && level !== 'error') return text;
  const word = `${level.toUpperCase()} ${text}`;
  return colour ? styleText(level === 'error' ? 'red' : 'yellow', word) : word;
}

function parseEntry(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{')) return null;
  try {
    const entry = JSON.parse(line) as Record<string, unknown>;
    return 'message' in entry || 'msg' in entry ? entry : null;
  } catch {
    return null; // Looks like JSON and is not: shown as it is.
  }
}
