import { isDomainError } from '../domain/errors.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

const severity = { debug: 0, info: 1, warn: 2, error: 3 } as const;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Tells the supervisor that this process can do its work: a line with `"ready":true`, written at every level. */
  ready(fields?: LogFields): void;
}

/** One JSON object a line on stdout: time, level, process, message, then the fields. An `Error` keeps code and stack. */
export function createLogger(
  processName: string,
  level: LogLevel = 'info',
  write: (line: string) => void = (line) => process.stdout.write(line),
): Logger {
  const put = (at: LogLevel, message: string, fields: LogFields) =>
    write(
      `${JSON.stringify({ time: new Date().toISOString(), level: at, process: processName, message, ...fields }, plain)}\n`,
    );
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (severity[own] >= severity[level]) put(own, message, fields);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    ready: (fields = {}) => put('info', 'ready', { ready: true, ...fields }),
  };
}

/** JSON knows neither `bigint` nor errors. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (isDomainError(value)) return { code: value.code, detail: value.message, data: value.data, stack: value.stack };
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack };
  return value;
}
