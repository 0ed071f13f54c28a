import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import { durationMicros } from '../../domain/instants.js';
import { JoinMode } from '../../domain/point-in-time.js';
import { quoteName, quoteText } from '../../lake/duckdb.js';
import { pointInTimeJoin, type JoinView } from '../../lake/point-in-time.js';
import { withLake, type TestLake } from '../support/lake.js';

/** The tables of docs/point-in-time.md: of each example some views, then rows that are asked with what they must be answered. */

interface Table {
  readonly columns: readonly string[];
  /** Null where a cell is empty. */
  readonly rows: readonly (readonly (string | null)[])[];
}

interface Example {
  readonly title: string;
  readonly views: readonly JoinView[];
  readonly spine: Table;
  readonly answers: Table;
}

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim() || null);

function tableOf(lines: readonly string[]): Table {
  const [head = '', , ...rows] = lines;
  return { columns: cellsOf(head).map(String), rows: rows.map(cellsOf) };
}

const isInstant = (column: string) => ['event_time', 'known_at', 'asked_at'].includes(column);

/** Instants of one day, features as whole numbers, keys as text. */
function relationOf({ columns, rows }: Table, features: readonly string[] = []): string {
  const cell = (value: string | null, at: number) => {
    const column = columns[at] ?? '';
    const type = isInstant(column) ? 'TIMESTAMP' : features.includes(column) ? 'INTEGER' : 'VARCHAR';
    return `${value === null ? 'NULL' : quoteText(isInstant(column) ? `2001-03-05 ${value}` : value)}::${type}`;
  };
  const values = rows.map((row) => `(${row.map(cell).join(', ')})`).join(', ');
  return `(SELECT * FROM (VALUES ${values}) t(${columns.map(quoteName).join(', ')}))`;
}

/** `View` and its name, then options in code spans; what stands before event_time is a key, what after the instants a feature. */
function viewOf(line: string, table: Table): JoinView {
  const [name = '', ...options] = [...line.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);
  const option = (key: string) => options.find((one) => one.startsWith(`${key}: `))?.slice(key.length + 2);
  const renamed = new Map(
    options.flatMap((one) => (one.includes(' = ') ? [one.split(' = ') as [string, string]] : [])),
  );
  const at = table.columns.indexOf('event_time');
  const features = table.columns.slice(at + 1).filter((column) => !isInstant(column));
  const ttl = option('ttl');
  return {
    ...{ name, relation: relationOf(table, features), eventTime: 'event_time', content: features, distinct: false },
    keys: table.columns
      .slice(0, at)
      .map((column) => ({ column, type: 'VARCHAR', spine: renamed.get(column) ?? column })),
    knownAt: table.columns.includes('known_at') ? 'known_at' : null,
    ttlMicros: ttl === undefined ? null : durationMicros(ttl),
    features: features.map((column) => ({ column, as: `${name}__${column}` })),
    mode: JoinMode.parse(option('mode') ?? 'known_at'),
  };
}

function examples(): Example[] {
  const page = readFileSync(join(projectRoot, 'docs/point-in-time.md'), 'utf8');
  const found: Example[] = [];
  let title = '';
  let said = '';
  let views: JoinView[] = [];
  for (const block of page.split(/\n{2,}/)) {
    const lines = block.split('\n');
    if (block.startsWith('#')) title = block.replace(/^#+ /, '');
    else if (!block.startsWith('|')) said = block;
    else if (lines[0]?.includes('event_time')) views.push(viewOf(said, tableOf(lines)));
    else if (lines[0]?.includes('asked_at')) {
      const { columns, rows } = tableOf(lines);
      const asked = columns.indexOf('asked_at') + 1;
      const part = (from: number, to?: number) => ({
        columns: columns.slice(from, to),
        rows: rows.map((row) => row.slice(from, to)),
      });
      found.push({ title, views, spine: part(0, asked), answers: part(asked) });
      views = [];
    }
  }
  return found;
}

test('the page has examples', () => expect(examples().length).toBeGreaterThan(5));

test.each(examples().map((example) => [example.title, example] as const))(
  'the example "%s" is answered as the page says',
  async (_, { views, spine, answers }) => {
    const numbered = `(SELECT row_number() OVER () AS place, * FROM ${relationOf(spine)})`;
    const found = await lake.query<Record<string, string | number | null>>(
      `SELECT * FROM ${pointInTimeJoin(numbered, 'asked_at', views)} ORDER BY place`,
    );
    expect(answers.columns).toEqual(views.flatMap(({ features }) => features.map(({ as }) => as)));
    expect(found.map((row) => answers.columns.map((column) => row[column]))).toEqual(
      answers.rows.map((row) => row.map((cell) => (cell === null ? null : Number(cell)))),
    );
  },
);
