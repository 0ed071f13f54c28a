import { z } from 'zod';
import { isDomainError, DomainError } from '../../../domain/errors.js';
import type { ProjectName } from '../../../domain/ids.js';
import { JoinRequest, Joining } from '../../../domain/join-requests.js';
import { withService } from '../../../lake/joins.js';
import { requireFit } from '../../../lake/spine-fit.js';
import type { Readable, ReadableKind } from '../readable.js';
import { commandWith, parseCommand } from './commands.js';
import type { JoinsDeps } from './deps.js';
import { keyTypesOf } from './inline-rows.js';
import {
  columnsOf,
  extentOf,
  joinPlan,
  pinJoins,
  pinsOf,
  refsOf,
  requireJoinable,
  type PinnedJoins,
} from './joined.js';
import { pinSpine, reopenSpine, SaidSpine, type OpenSpine } from './spine.js';

const ViewPin = z.strictObject({ revision: z.int32(), snapshot: z.int(), sequence: z.int().nullable() });

const JoinContent = z.strictObject({
  kind: z.literal('join'),
  spine: SaidSpine,
  joining: Joining,
  views: z.record(z.string(), ViewPin),
  rows: z.int(),
  range: z.strictObject({ start: z.string(), end: z.string() }).nullable(),
});
type JoinContent = z.infer<typeof JoinContent>;

const JoinCommand = z.strictObject({ join: JoinRequest });

/** A point-in-time join as a JSON command. Its tickets pin the spine, a snapshot of each view, and what was pushed beside it. */
export const joinKind = (deps: JoinsDeps): ReadableKind<JoinContent> => ({
  content: JoinContent,
  async resolve(descriptor, { project }) {
    const command = commandWith('join', descriptor);
    if (!command) return null;
    return joinReadable(deps, project, parseCommand(JoinCommand, command).join);
  },
  async open({ spine: said, joining, views: pins, rows, range }, { project }) {
    const spine = await reopenSpine(deps, project, said);
    const joined = await pinJoins(deps, project, joining, { range: range as PinnedRange, pins });
    return readableOf(project, spine, joined, { rows, range: range as PinnedRange });
  },
});

type PinnedRange = Awaited<ReturnType<typeof extentOf>>['range'];

export async function joinReadable(
  deps: JoinsDeps,
  project: ProjectName,
  { spine: asked, ...joining }: JoinRequest,
): Promise<Readable> {
  const keyTypes = async () => {
    const selection = await withService(deps.catalogue, project, joining);
    return keyTypesOf(deps.catalogue, project, selection, joining.eventTime);
  };
  const spine = await pinSpine(deps, project, asked, keyTypes);
  const blaming = (error: unknown) => {
    throw unreadable(spine, error);
  };
  const columns = await columnsOf(deps, spine).catch(blaming);
  requireFit(columns, joining.eventTime, []);
  const extent = await extentOf(deps, spine, joining.eventTime).catch(blaming);
  const joined = await pinJoins(deps, project, joining, { range: extent.range });
  requireJoinable(columns, joined);
  return readableOf(project, spine, joined, extent);
}

type Extent = Awaited<ReturnType<typeof extentOf>>;

function readableOf(project: ProjectName, spine: OpenSpine, joined: PinnedJoins, { rows, range }: Extent): Readable {
  const { pinned, selection, joining } = joined;
  // A ticket names what the service asked for by now.
  const { service: _, ...own } = joining;
  const content: JoinContent = {
    ...{ kind: 'join', spine: spine.said, rows, range },
    joining: { ...own, features: [...selection.features], joins: [...selection.joins] },
    views: pinsOf(pinned),
  };
  return {
    contents: [content],
    pins: refsOf(project, pinned, spine.pins),
    ...{ rows, bytes: null },
    metadata: { project, columns: joined.columns, views: pinned },
    source: {
      type: 'plan',
      plan: joinPlan(spine, joined, spine.repeatable ? rows : null),
      repeatable: spine.repeatable,
    },
  };
}

/** Values of the request that are none of their column's type are the caller's mistake. */
function unreadable({ said }: OpenSpine, error: unknown): unknown {
  if (said.from !== 'rows' || !isDomainError(error) || error.code !== 'query_failed') return error;
  return new DomainError('spine_invalid', error.message, {}, { cause: error });
}
