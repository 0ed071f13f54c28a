import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';

export class PyarrowError extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

/** pyarrow in a process of its own; calls are answered in order. */
export interface Pyarrow {
  ask<Answer>(what: string, values?: object): Promise<Answer>;
  /** What pyarrow raises, with its class. */
  refusal(what: string, values?: object): Promise<PyarrowError>;
  stop(): Promise<void>;
}

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export async function startPyarrow(url: string): Promise<Pyarrow> {
  const { cache, python } = loadConfig();
  const lockFile = beside('./requirements.lock');
  const command = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'pyarrow', python });
  const child = spawn(command, ['-I', beside('./client.py'), url], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

  async function ask<Answer>(what: string, values: object = {}): Promise<Answer> {
    child.stdin.write(`${JSON.stringify({ do: what, ...values })}\n`);
    const line = await lines.next();
    if (line.done) throw new Error('The pyarrow client ended.');
    const answer = JSON.parse(line.value) as { ok: Answer } | { error: string; message: string };
    if ('error' in answer) throw new PyarrowError(answer.error, answer.message);
    return answer.ok;
  }

  return {
    ask,
    async refusal(what, values) {
      const answer = await ask(what, values).catch((error: unknown) => error);
      if (answer instanceof PyarrowError) return answer;
      throw new Error(`pyarrow was not refused: ${JSON.stringify(answer)}`);
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
