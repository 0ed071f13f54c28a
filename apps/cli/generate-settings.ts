import { settings } from '../settings.js';

/** docs/settings.md, from the table that the settings are read by. */
export function generate(): string {
  const rows = Object.entries(settings).map(([name, row]) => {
    const fallback = row.default === null ? ('defaultNote' in row ? row.defaultNote : '') : `\`${row.default}\``;
    return `| \`${name}\` | ${fallback ?? ''} | ${row.description} | \`${row.example}\` |`;
  });
  return [
    '# Settings',
    '',
    'Every environment variable that Eider reads. An empty variable counts as not set; all mistakes are reported at once.',
    'This page is made from `apps/settings.ts` by `npm run generate`.',
    '',
    '| Variable | Default | Meaning | Example |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
