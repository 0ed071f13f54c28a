import { progressLine } from '../../apps/cli/waiting.js';
import { bytes, figure, moment, table } from '../../apps/cli/table.js';
import { differences } from '../../apps/cli/differences.js';

function written(isTTY: boolean, columns = 80): { lines: () => string[]; line: ReturnType<typeof progressLine> } {
  let text = '';
  const line = progressLine({ isTTY, columns, write: (more: string) => (text += more) });
  return { lines: () => text.split(isTTY ? '\r\u001b[K' : '\n'), line };
}
const progress = (stage: string, done: number, total: number, detail = '') => ({
  event: 'progress',
  data: { stage, done, total, detail },
});

test('in a terminal one line is rewritten, a new stage begins a new one, and nothing is wider than it', () => {
  const { lines, line } = written(true, 40);
  line.event(progress('plan', 0, 0, 'comparing'));
  line.event(progress('write', 1, 4, 'x'.repeat(50)));
  line.event(progress('write', 4, 4));
  line.pause();
  expect(lines()).toEqual([
    '',
    'plan        comparing\n',
    `write       [######..................] `,
    'write       [########################] \n',
  ]);
});

test('elsewhere a line is written for a stage, for each tenth of its work, and for its end', () => {
  const { lines, line } = written(false);
  for (let done = 0; done <= 100; done++) line.event(progress('write', done, 100));
  line.pause();
  expect(lines()).toHaveLength(12);
  expect(lines()[1]).toBe('write       [##......................] 10/100 ');
});

test('a table is aligned, with numbers at the right and a dash for nothing', () => {
  const rows = [
    { name: 'a', rows: 1234567, share: 0.25 },
    { name: 'long', rows: null, share: null },
  ];
  expect(
    table(rows, [
      ['NAME', ({ name }) => name],
      ['ROWS', (row) => row.rows],
      ['SHARE', ({ share }) => figure(share)],
    ]),
  ).toBe('NAME       ROWS  SHARE\na     1,234,567  0.2500\nlong          -  -\n');
  expect(table([], [])).toBe('There are none.\n');
});

test.each([
  [999, '999 B'],
  [1000, '1.0 kB'],
  [0, '0 B'],
  [2.5e9, '2.5 GB'],
])('%d bytes are %s', (value, text) => expect(bytes(value)).toBe(text));

test.each([
  ['2001-03-05T00:00:00.000000Z', '2001-03-05'],
  ['2001-03-05T01:02:03.000004Z', '2001-03-05 01:02:03'],
  [null, '-'],
])('the instant %s is shown as %s', (at, text) => expect(moment(at)).toBe(text));

test('what differs is named by its path, of a long text only the lines that do', () => {
  const before = { a: 1, b: { c: [1, 2] }, sql: 'SELECT 1\nFROM x\n' };
  const after = { a: 1, b: { c: [1, 3], d: true }, sql: 'SELECT 2\nFROM x\n' };
  expect(differences(before, after)).toEqual([
    'b.c.1: 2 -> 3',
    'b.d: nothing -> true',
    'sql:',
    '  - SELECT 1',
    '  + SELECT 2',
  ]);
});
