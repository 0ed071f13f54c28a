import { InvalidArgumentError, type Command } from 'commander';
import type { Candidate, Explanation } from '../../../domain/explanation.js';
import { FeatureRef } from '../../../domain/names.js';
import type { Instant } from '../../../domain/ids.js';
import { apiCommand, asCount, asInstant, withSession } from '../api-command.js';
import { figure, moment, table } from '../table.js';

interface Options {
  readonly key: Readonly<Record<string, string>>;
  readonly at: Instant;
  readonly revision?: number;
  readonly snapshot?: number;
}

/** `eider explain`: why a feature has the value that it has. */
export function registerExplain(program: Command): void {
  apiCommand(program, {
    usage: 'explain <feature>',
    description: 'say why a feature, as view:feature, has its value: the row that won, and where it came from',
    example: 'eider explain origin_hour:late_rate --key origin=ATL --at 2001-03-05T12:30:00Z',
  })
    .option('--key <name=value>', 'a key of the entity; once for each', asKey, {})
    .requiredOption('--at <instant>', 'the instant that the value is asked for', asInstant)
    .option('--revision <number>', 'of the view; default: the active one', asCount)
    .option('--snapshot <number>', 'of its table; default: the newest', asCount)
    .action(
      withSession<Options>(async (session, { key, at, revision, snapshot }, ref = '') => {
        const [view, feature] = FeatureRef.parse(ref).split(':');
        const body = { feature, key, at, revision, snapshot };
        const explanation = await session.api.post<Explanation>(`/features/${view}/explain`, body);
        session.answer(explanation, () => explanationText(explanation));
      }),
    );
}

function asKey(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('It must be NAME=VALUE.');
  return { ...before, [name]: value };
}

function explanationText(one: Explanation): string {
  const key = Object.entries(one.key).map(([name, value]) => `${name}=${value}`);
  const lines = [
    `${one.view}:${one.feature} of ${key.join(', ') || 'everybody'} at ${moment(one.at)} is ${shown(one.value)} (${one.status})`,
    line(
      'view',
      `${one.view} revision ${one.revision}, definition ${one.definition.slice(0, 12)}, snapshot ${one.snapshot}`,
    ),
    ...winnerLines(one),
    ...one.missing.map(({ start, end }) =>
      line('missing', `${moment(start)} to ${moment(end)} was never materialized`),
    ),
    ...onlineLines(one),
  ];
  return `${lines.join('\n')}\n${othersText(one)}`;
}

const line = (name: string, text: string): string => `  ${name.padEnd(12)}${text}`;
const shown = (value: unknown): string => (value === null ? 'NULL' : String(value));

function winnerLines({ winner, origin, push, ttl, bitemporal, sources, sourcesState }: Explanation): string[] {
  if (!winner) return [line('row', 'none of this key was there by then')];
  const age = ttl.declared === null ? 'for ever' : `for ${ttl.declared}, until ${moment(ttl.until)}`;
  return [
    line(
      'row',
      `true from ${moment(winner.eventTime)}, known from ${moment(winner.knownAt)}${bitemporal ? '' : ' (the view has no known-at)'}, value ${shown(winner.value)}`,
    ),
    line('valid', ttl.state === 'valid' ? age : `${ttl.state} since ${moment(ttl.until)} (${ttl.declared})`),
    ...(origin
      ? [
          line(
            'window',
            `${moment(origin.window.start)} to ${moment(origin.window.end)}, ${origin.lane === 'pushes' ? 'pushed' : 'computed from sources'}`,
          ),
          line(
            'commit',
            `${origin.commit}, in snapshots from ${origin.snapshot} on, at ${moment(origin.committedAt)} by ${origin.principal}`,
          ),
          line('run', origin.workflowId),
        ]
      : []),
    ...(push
      ? [
          line(
            'push',
            `${push.id}, at ${moment(push.pushedAt)} by ${push.principal}, row ${push.sequence} of all pushes`,
          ),
        ]
      : []),
    ...(winner.file === null ? [] : [line('file', `${winner.file}, row ${winner.row}`)]),
    ...sources.flatMap(({ name, revision, files, place, slice, filesLeftOff }) => [
      line(
        'source',
        `${name} revision ${revision}, rows from ${moment(slice.start)} to ${moment(slice.end)}${place ? `: ${place}` : ''}`,
      ),
      ...files.map(({ path, rows }) => line('', `${path}: ${figure(rows)} rows`)),
      ...(filesLeftOff > 0 ? [line('', `${figure(filesLeftOff)} files more were not looked into`)] : []),
    ]),
    ...(sourcesState === 'changed since' ? [line('', 'these rows changed since: materialize the window again')] : []),
  ];
}

function onlineLines({ online }: Explanation): string[] {
  if (!online) return [];
  const since = online.eventTime === null ? '' : `, true from ${moment(online.eventTime)}`;
  return [
    line(
      'online',
      `${shown(online.value)} (${online.status})${since}, generation ${online.generation} of revision ${online.revision}`,
    ),
  ];
}

const reasons: Readonly<Record<Candidate['verdict'], string>> = {
  won: 'won',
  future: 'true only later',
  not_yet_known: 'known only later',
  older: 'older',
  known_earlier: 'corrected by the row that won',
  replaced: 'a push of the same instants stands above it',
  tie: 'same instants: the content decided',
};

function othersText({ others, counts }: Explanation): string {
  if (others.length === 0) return '';
  const total = Object.entries(counts).reduce((sum, [verdict, count]) => (verdict === 'won' ? sum : sum + count), 0);
  const rows = table(others, [
    ['LOST', ({ verdict }) => reasons[verdict]],
    ['TRUE FROM', ({ eventTime }) => moment(eventTime)],
    ['KNOWN FROM', ({ knownAt }) => moment(knownAt)],
    ['VALUE', ({ value }) => shown(value)],
  ]);
  return total > others.length ? `${rows}${figure(total - others.length)} rows more lost.\n` : rows;
}
