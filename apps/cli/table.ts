/** A column of a table: its heading, and what a row shows there. Numbers stand at the right. */
export type Column<Row> = readonly [heading: string, show: (row: Row) => string | number | null | undefined];

const empty = '-';

/** Rows as aligned text; says so when there are none. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  if (rows.length === 0) return 'There are none.\n';
  const cells = rows.map((row) => columns.map(([, show]) => show(row) ?? empty));
  const right = columns.map((_, at) => cells.every((row) => typeof row[at] === 'number' || row[at] === empty));
  const lines = [columns.map(([heading]) => heading), ...cells.map((row) => row.map(text))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, at) => pad(cell, widths[at] ?? 0, right[at]))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

const pad = (cell: string, width: number, right = false): string => (right ? cell.padStart(width) : cell.padEnd(width));
const text = (cell: string | number): string => (typeof cell === 'number' ? figure(cell) : cell);

/** Whole numbers in groups of three, others with four digits after the point. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return empty;
  return Number.isInteger(value) ? value.toLocaleString('en-US') : value.toFixed(4);
}

/** `2001-03-05`, or with the time when it is not midnight. */
export function moment(at: string | null | undefined): string {
  if (!at) return empty;
  return at
    .replace(/T00:00:00\.000000Z$/, '')
    .replace('T', ' ')
    .replace(/(:\d{2})\.\d+Z$/, '$1');
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(Math.floor(Math.log10(Math.max(value, 1)) / 3), units.length - 1);
  return `${power === 0 ? value : (value / 1000 ** power).toFixed(1)} ${units[power]}`;
}
