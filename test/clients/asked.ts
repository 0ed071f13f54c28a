import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What the foreign program raised, with its class. */
export class ForeignError extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

/** A foreign client in a process of its own: one JSON object a line asks, one answers, in order. */
export interface Asked {
  ask<Answer>(what: string, values?: object): Promise<Answer>;
  /** What the program raises instead of an answer. */
  refusal(what: string, values?: object): Promise<ForeignError>;
  stop(): Promise<void>;
}

export const askProgram = (python: string, args: readonly string[]): Asked => askProcess(python, ['-I', ...args]);

export function askProcess(command: string, args: readonly string[]): Asked {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

  async function ask<Answer>(what: string, values: object = {}): Promise<Answer> {
    child.stdin.write(`${JSON.stringify({ do: what, ...values })}\n`);
    const line = await lines.next();
    if (line.done) throw new Error(`${command} ${args[0] ?? ''} ended.`);
    const answer = JSON.parse(line.value) as { ok: Answer } | { error: string; message: string };
    if ('error' in answer) throw new ForeignError(answer.error, answer.message);
    return answer.ok;
  }

  return {
    ask,
    async refusal(what, values) {
      const answer = await ask(what, values).catch((error: unknown) => error);
      if (answer instanceof ForeignError) return answer;
      throw new Error(`It was not refused: ${JSON.stringify(answer)}`);
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
