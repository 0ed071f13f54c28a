import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { DomainError } from '../../../domain/errors.js';
import { apiCommand, withSession, type Session } from '../api-command.js';
import { figure } from '../table.js';

/** The API takes so many labels at once. */
const labelsPerRequest = 10_000;

export function registerLabels(program: Command): void {
  apiCommand(program, {
    usage: 'labels <model>',
    description: 'upload the truth about rows: a JSON array, or one JSON object a line, of { key, label, knownAt }',
    example: 'eider labels lateness -f labels.jsonl',
  })
    .requiredOption('-f, --filename <path>', 'a .json or .jsonl file')
    .action(withSession<{ filename: string }>(upload));
}

/** Uploading again is harmless, so a broken upload is simply repeated. */
async function upload(session: Session, { filename }: { filename: string }, model = ''): Promise<void> {
  const labels = await uploadLabels(session, `/models/${model}/labels`, filename);
  session.answer({ model, labels }, () => `${figure(labels)} labels uploaded\n`);
}

/** Sends the labels of a file; returns how many. */
export async function uploadLabels(session: Session, path: string, filename: string): Promise<number> {
  const labels = await readLabels(filename);
  for (let at = 0; at < labels.length; at += labelsPerRequest)
    await session.api.post(path, labels.slice(at, at + labelsPerRequest));
  return labels.length;
}

async function readLabels(file: string): Promise<unknown[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new DomainError('request_invalid', `There is no file ${file}.`, { file });
  });
  if (text.trimStart().startsWith('[')) return parse(text, file, 1) as unknown[];
  return text.split('\n').flatMap((line, at) => (line.trim() === '' ? [] : [parse(line, file, at + 1)]));
}

function parse(text: string, file: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DomainError('request_invalid', `${file}:${line}: ${(error as Error).message}.`, { file, line });
  }
}
