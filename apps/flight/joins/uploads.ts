import { z } from 'zod';
import type { TakenSpine } from '../../../domain/datasets.js';
import { DomainError } from '../../../domain/errors.js';
import type { ProjectName, Sha256 } from '../../../domain/ids.js';
import { Sha256Schema } from '../../../domain/names.js';
import { spineTable } from '../../../domain/spines.js';
import { keepSpine } from '../../../lake/spine-keeping.js';
import { requireProject } from '../access.js';
import type { Call } from '../call.js';
import { projectNamed } from '../descriptor.js';
import type { PutTaker } from '../feature.js';
import type { FlightDescriptor } from '../protocol.js';
import type { Admission } from './admission.js';
import { commandWith, parseCommand } from './commands.js';
import type { JoinsDeps } from './deps.js';
import { withReceived } from './received.js';

/** The element of a path that says that a spine is put. */
const spines = 'spines';

const PutCommand = z.strictObject({
  spine: z.strictObject({ sha256: Sha256Schema.optional().describe('What the bytes must hash to.') }),
});

/** Takes a spine, which lies then where POST /datasets/spines puts one: named by the hash of its bytes, for good. */
export const spineTaker = (deps: JoinsDeps, enter: Admission): PutTaker => ({
  accepts: (descriptor) => isSpinePath(descriptor) || commandWith('spine', descriptor) !== null,
  async *take(descriptor, messages, call) {
    const { project, expected } = addressOf(descriptor, call);
    const { principal, signal } = call;
    const leave = enter();
    try {
      const kept = await withReceived(deps, messages, ({ path, sha256 }) => {
        if (expected !== null && expected !== sha256)
          throw new DomainError('spine_invalid', `The bytes hash to ${sha256}, not to ${expected}.`, { sha256 });
        const upload = { project, spine: sha256, path, form: 'stream', principal } as const;
        return deps.engine.session((session) => keepSpine(session, deps, upload), signal);
      });
      yield resultOf(project, kept);
    } finally {
      leave();
    }
  },
});

const resultOf = (project: ProjectName, { spine: sha256, rows, columns }: TakenSpine): Buffer =>
  Buffer.from(JSON.stringify({ sha256, rows, columns, path: [project, 'datasets', spineTable(sha256)] }));

const isSpinePath = ({ type, path }: FlightDescriptor): boolean =>
  type === 'PATH' && path.length <= 3 && (path[0] === spines || path[1] === spines);

/** `[PROJECT, "spines"]`, or `["spines"]` with the project of the call; behind it, or in the command, the hash. */
function addressOf(descriptor: FlightDescriptor, call: Call): { project: ProjectName; expected: Sha256 | null } {
  const command = commandWith('spine', descriptor);
  if (command) return { project: call.project, expected: parseCommand(PutCommand, command).spine.sha256 ?? null };
  const { path } = descriptor;
  const at = path[1] === spines ? 1 : 0;
  const project = at === 1 ? projectNamed(path[0]) : call.project;
  requireProject(call, project);
  const rest = path.slice(at + 1);
  const expected = Sha256Schema.optional().safeParse(rest[0]);
  if (rest.length > 1 || !expected.success)
    throw new DomainError('descriptor_invalid', 'Behind "spines" a path has nothing, or the SHA-256 that the bytes must have.', { path }); // prettier-ignore
  return { project, expected: expected.data ?? null };
}
