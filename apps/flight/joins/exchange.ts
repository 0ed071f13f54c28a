import { z } from 'zod';
import type { Window } from '../../../domain/features.js';
import { Joining } from '../../../domain/join-requests.js';
import type { PinnedView } from '../../../domain/point-in-time.js';
import type { Revision } from '../../../domain/resources.js';
import { openMessages, type ArrowRows } from '../../../lake/arrow-table.js';
import { requireCovered } from '../../../lake/coverage.js';
import type { Session } from '../../../lake/duckdb.js';
import { filesRelation } from '../../../lake/point-in-time.js';
import { headerOnlyFrame, frameAt } from '../../../lake/read/message.js';
import { requireFit } from '../../../lake/spine-fit.js';
import type { Call } from '../call.js';
import type { Exchanger, OutgoingFrame } from '../feature.js';
import { ipcMessages } from '../incoming.js';
import { hold } from '../leases.js';
import type { Admission } from './admission.js';
import { arrivingSpine, type SpinePart } from './arriving-spine.js';
import { commandWith, parseCommand } from './commands.js';
import type { JoinsDeps } from './deps.js';
import { columnsOf, joinPlan, pinJoins, pinsOf, refsOf, requireJoinable } from './joined.js';
import type { OpenSpine } from './spine.js';

const ExchangeCommand = z.strictObject({ join: Joining });

/** A spine comes in, the joined rows go out in its order, while more of it comes. */
export const joinExchanger = (deps: JoinsDeps, enter: Admission): Exchanger => ({
  accepts: (descriptor) => commandWith('join', descriptor) !== null,
  async *exchange(descriptor, messages, call) {
    const { join } = parseCommand(ExchangeCommand, commandWith('join', descriptor));
    const leave = enter();
    try {
      yield* exchanged(deps, join, await openMessages(ipcMessages(messages)), call);
    } finally {
      leave();
    }
  },
});

/** Joins a stream: the views are pinned once, before the first row. `shown` makes of what arrives what is joined. */
export async function* exchanged(
  deps: JoinsDeps,
  joining: Joining,
  rows: ArrowRows,
  call: Pick<Call, 'project' | 'signal' | 'compression'>,
  shown: (relation: string) => string = (relation) => relation,
): AsyncGenerator<OutgoingFrame> {
  const { project, signal } = call;
  requireFit(rows.columns, joining.eventTime, []);
  const { pinned } = await pinJoins(deps, project, joining, { range: null });
  const pins = pinsOf(pinned);
  const windows = await windowsOf(deps, call, pinned);
  const release = await hold(deps, refsOf(project, pinned));
  try {
    // Which is refused when the client has left meanwhile.
    const { session, close } = await sessionOf(deps, signal);
    const spine = arrivingSpine(session, deps, rows, joining.eventTime);
    try {
      const joined = await pinJoins(deps, project, joining, { range: null, pins });
      const empty = partSpine(shown(filesRelation([], rows.columns)), []);
      requireJoinable(await columnsOf(deps, empty), joined);
      const { schema } = await deps.reader.describe(joinPlan(empty, joined, 0));
      yield schemaFrame(schema);
      for (let part = await spine.next(); part; part = await spine.next()) {
        try {
          for (const { view, heads } of windows) if (part.range) requireCovered(view, heads, part.range);
          yield* joinedPart(deps, call, joining, pins, part, shown);
        } finally {
          await spine.drop(part);
        }
      }
    } finally {
      await spine.stop();
      close();
    }
  } finally {
    await release();
  }
}

async function* joinedPart(
  deps: JoinsDeps,
  { project, signal, compression }: Pick<Call, 'project' | 'signal' | 'compression'>,
  joining: Joining,
  pins: ReturnType<typeof pinsOf>,
  { paths, rows, range }: SpinePart,
  shown: (relation: string) => string,
): AsyncGenerator<OutgoingFrame> {
  const joined = await pinJoins(deps, project, joining, { range, pins });
  const plan = joinPlan(partSpine(shown(filesRelation(paths, [])), paths), joined, rows);
  let isSchema = true;
  for await (const batch of deps.reader.read(plan, { signal, compression })) {
    if (isSchema) batch.release();
    else yield batch;
    isSchema = false;
  }
}

const partSpine = (relation: string, files: readonly string[]): OpenSpine => ({
  said: { from: 'rows', rows: [], types: {} },
  ...{ relation, files, setup: [], pins: [], repeatable: true },
});

function schemaFrame(schema: Buffer): OutgoingFrame {
  const { memory, end } = headerOnlyFrame(schema);
  return { frame: Buffer.from(memory, frameAt, end - frameAt), release: () => undefined };
}

/** What sources were computed for in each view's snapshot: every part of the spine is held against it. */
async function windowsOf(
  { catalogue }: JoinsDeps,
  { project }: Pick<Call, 'project'>,
  pinned: readonly PinnedView[],
): Promise<{ view: Revision<'FeatureView'>; heads: readonly Window[] }[]> {
  const refs = refsOf(project, pinned);
  return Promise.all(
    refs.map(async (ref) => ({
      view: await catalogue.view(project, ref.name, ref.revision),
      heads: await catalogue.windows(ref, 'then'),
    })),
  );
}

/** A session for as long as the stream lasts. */
async function sessionOf({ engine }: JoinsDeps, signal: AbortSignal): Promise<{ session: Session; close: () => void }> {
  let close: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => (close = resolve));
  const session = await new Promise<Session>((resolve, reject) => {
    engine
      .session(async (opened) => {
        resolve(opened);
        await closed;
      }, signal)
      .catch(reject);
  });
  return { session, close };
}
