import type { Command } from 'commander';
import type { Problem } from '../../../domain/check.js';
import { DomainError } from '../../../domain/errors.js';
import type { Kind, Resource, Revision } from '../../../domain/resources.js';
import { apiCommand, withSession, type Session } from '../api-command.js';
import { kindOf } from '../kinds.js';
import { differences } from '../differences.js';
import { readResources } from '../yaml.js';

interface Change {
  readonly kind: Kind;
  readonly name: string;
  readonly change: 'created' | 'updated' | 'restored' | 'unchanged';
  readonly revision: number;
  readonly fields: readonly string[];
  /** What it refers to and changes with it. */
  readonly because: readonly string[];
}

interface FilesOption {
  readonly filename: string[];
}

const filesOption = ['-f, --filename <path...>', 'YAML files, or folders of them'] as const;
const signs = { created: '+', updated: '~', restored: '~', unchanged: '=' } as const;
const unsaid = {
  created: 'will be created',
  updated: 'will change',
  restored: 'will be as it was in',
  unchanged: 'is unchanged',
};
const said = { created: 'created', updated: 'updated', restored: 'back to', unchanged: 'unchanged' };

export function registerResources(program: Command): void {
  apiCommand(program, {
    usage: 'plan',
    description: 'show what apply would change, field by field, and what stands in its way',
    example: 'eider plan -f examples/flights',
  })
    .requiredOption(...filesOption)
    .action(withSession<FilesOption>(plan));

  apiCommand(program, {
    usage: 'apply',
    description: 'make the declared resources so; all of them or, when one cannot be, none',
    example: 'eider apply -f examples/flights',
  })
    .requiredOption(...filesOption)
    .action(withSession<FilesOption>(apply));

  apiCommand(program, {
    usage: 'delete <kind> <name>',
    description: 'delete a resource that nothing depends on; what was made with it stays',
    example: 'eider delete Monitor lateness_weekly',
  }).action(withSession(remove));
}

async function plan(session: Session, { filename }: FilesOption): Promise<void> {
  const resources = await readResources(filename);
  const planned = await session.api.post<{ changes: Change[]; problems: Problem[] }>('/plan', { resources });
  const blocks = await Promise.all(
    planned.changes.map(async (change, at) => [
      `${signs[change.change]} ${change.kind} ${change.name} ${unsaid[change.change]}${revisionOf(change)}${reasonOf(change)}`,
      ...(await changedFields(session, change, resources[at])),
    ]),
  );
  const problems = planned.problems.map(
    ({ kind, name, field, detail, code }) => `! ${kind} ${name} ${field}: ${detail} (${code})`,
  );
  session.answer(planned, () => `${[...blocks.flat(), ...problems].join('\n')}\n`);
  if (planned.problems.length > 0) process.exitCode = 1;
}

const revisionOf = ({ change, revision }: Change): string =>
  change === 'restored' ? ` revision ${revision}` : change === 'unchanged' ? '' : ` (revision ${revision})`;

const reasonOf = ({ because }: Change): string => (because.length > 0 ? `, because of ${because.join(', ')}` : '');

/** Views that only change with what they refer to come after what the files declare, and have no file of their own. */
async function changedFields(session: Session, { kind, name, change }: Change, resource?: Resource): Promise<string[]> {
  if (!resource) return [];
  if (change !== 'updated' && change !== 'restored') return [];
  const { spec } = await session.api.get<Revision>(`/resources/${kind}/${name}`);
  return differences(spec, resource.spec).map((line) => `    spec.${line}`);
}

async function apply(session: Session, { filename }: FilesOption): Promise<void> {
  const resources = await readResources(filename);
  const applied = await session.api.post<{ changes: Change[] }>('/apply', { resources }).catch((error: unknown) => {
    throw withAllProblems(error);
  });
  session.answer(applied, () => {
    const lines = applied.changes.map((change) => {
      const fields = change.fields.length > 0 && change.change !== 'created' ? `: ${change.fields.join(', ')}` : '';
      return `${signs[change.change]} ${change.kind} ${change.name} ${said[change.change]}${revisionOf(change)}${fields}${reasonOf(change)}`;
    });
    return `${lines.join('\n')}\n`;
  });
}

/** The refusal of apply names its first problem; a person mends all of them at once. */
function withAllProblems(error: unknown): unknown {
  if (!(error instanceof DomainError)) return error;
  const problems = (error.data['problems'] ?? []) as Partial<Problem>[];
  if (problems.length < 2 || problems[0]?.detail === undefined) return error;
  const lines = problems.map(({ kind, name, field, detail }) => `${kind} ${name} ${field}: ${detail}`);
  return new DomainError(error.code, `${lines.length} problems:\n${lines.join('\n')}\n`, error.data);
}

async function remove(session: Session, _options: unknown, kindName = '', name = ''): Promise<void> {
  const kind = kindOf(kindName);
  await session.api.delete(`/resources/${kind}/${encodeURIComponent(name)}`);
  session.answer({ kind, name, deleted: true }, () => `- ${kind} ${name} deleted\n`);
}
