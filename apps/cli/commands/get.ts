import type { Command } from 'commander';
import { stringify } from 'yaml';
import { DomainError } from '../../../domain/errors.js';
import type { Evaluated } from '../../../domain/evaluation.js';
import { kinds, type Kind } from '../../../domain/resources.js';
import { apiCommand, asCount, withSession, type Session } from '../api-command.js';
import { findKind, plainName } from '../kinds.js';
import type { Listing } from '../listing.js';
import { compared, findListing, listingNames, resourceListing, type Comparison } from '../listings.js';
import { figure, table } from '../table.js';

const limitDefault = 100;

export function registerGet(program: Command): void {
  apiCommand(program, {
    usage: 'get <kind> [name]',
    description: `list ${kinds.join(', ')}, or ${listingNames.join(', ')}; with a name, only what belongs to it`,
    example: 'eider get FeatureView\n  eider get versions lateness',
  })
    .option('--limit <rows>', 'how many rows at most', asCount, limitDefault)
    .action(withSession<{ limit: number }>(get));

  apiCommand(program, {
    usage: 'describe <kind> <name>',
    description: 'show everything about one thing: a resource of any kind, a run, version, dataset or workflow',
    example: 'eider describe Endpoint lateness\n  eider describe version lateness/2',
  }).action(withSession(describe));
}

async function get(session: Session, { limit }: { limit: number }, kindName = '', name?: string): Promise<void> {
  const kind = findKind(kindName);
  if (kind && name !== undefined) return describe(session, {}, kind, name);
  const listing = kind ? resourceListing(kind) : findListing(kindName);
  if (!listing)
    throw new DomainError(
      'request_invalid',
      `"${kindName}" is neither one of ${kinds.join(', ')} nor of ${listingNames.join(', ')}.`,
    );
  if (listing.of === null && name !== undefined) return describe(session, {}, kindName, name);
  if (listing.of !== null && name === undefined)
    throw new DomainError(
      'request_invalid',
      `eider get ${kindName} needs a name: eider get ${kindName} ${listing.of}.`,
    );
  await list(session, listing, name ?? '', limit);
}

async function list(session: Session, listing: Listing, name: string, limit: number): Promise<void> {
  const [path = '', search] = listing.path(encodeURIComponent(name)).split('?');
  const query = Object.fromEntries(new URLSearchParams(search));
  const { items, next } = await session.api.list<never>(path, limit, query);
  session.answer({ items, next }, () => {
    const more = next === null ? '' : `There are more; raise --limit.\n`;
    return `${table(items, listing.columns)}${more}`;
  });
}

const sole = (path: string) => (session: Session, name: string) =>
  session.api.get<object>(`${path}/${encodeURIComponent(name)}`);

const kindPaths: Partial<Record<Kind, string>> = { FeatureView: '/features', Endpoint: '/endpoints' };

const things: Readonly<Record<string, (session: Session, name: string) => Promise<object>>> = {
  run: sole('/runs'),
  dataset: sole('/datasets'),
  workflow: sole('/workflows'),
  erasure: sole('/erasures'),
  version: async (session, name) => {
    const [model = '', version] = name.split('/');
    if (version === undefined)
      throw new DomainError('request_invalid', 'A version is written MODEL/NUMBER, for example lateness/2.');
    return session.api.get(`/models/${encodeURIComponent(model)}/versions/${encodeURIComponent(version)}`);
  },
};

async function describe(session: Session, _options: unknown, kindName = '', name = ''): Promise<void> {
  const kind = findKind(kindName);
  const read = kind ? sole(kindPaths[kind] ?? `/resources/${kind}`) : things[plainName(kindName)];
  if (!read)
    throw new DomainError(
      'request_invalid',
      `"${kindName}" is neither one of ${kinds.join(', ')} nor of ${Object.keys(things).join(', ')}.`,
    );
  const found = await read(session, name);
  const more = kind === 'Model' ? await aboutModel(session, name) : {};
  session.answer({ ...found, ...more }, () => text({ ...found, ...more }));
}

async function aboutModel(session: Session, name: string): Promise<object> {
  const [versions, aliases] = await Promise.all([
    session.api.list<{ version: number; run: string }>(`/models/${name}/versions`, limitDefault),
    session.api.list<object>(`/models/${name}/aliases`, limitDefault),
  ]);
  return { versions: versions.items.map(({ version, run }) => ({ version, run })), aliases: aliases.items };
}

interface Evaluation {
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly candidateMetrics: Evaluated;
  readonly championMetrics: Evaluated | null;
}

/** As YAML, which people declared it in; an evaluation as the table that it is. */
function text(found: object): string {
  const { evaluation, ...rest } = found as { evaluation?: Evaluation | null };
  if (!evaluation) return stringify(found);
  const { verdict, reasons, candidateMetrics, championMetrics } = evaluation;
  const rows = table<Comparison>(compared(candidateMetrics, championMetrics), [
    ['METRIC', ({ metric }) => metric],
    ['CANDIDATE', ({ candidate }) => figure(candidate)],
    ['CHAMPION', ({ champion }) => figure(champion)],
  ]);
  return `${stringify(rest)}\n${rows}\nVerdict: ${verdict}\n${reasons.map((reason) => `  ${reason}\n`).join('')}`;
}
