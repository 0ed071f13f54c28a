import { styleText } from 'node:util';

/** Text for people, as the demo tells it: to stderr with `--json`, so that stdout holds the summary alone. */
export interface Story {
  heading(text: string): void;
  say(text: string): void;
  /** A figure or two beside what they are. */
  table(columns: readonly string[], rows: readonly (readonly (string | number | null)[])[]): void;
  /** One line that changes in place on a terminal; elsewhere only its last state is printed. */
  progress(label: string): { at(done: number, total: number, detail?: string): void; end(detail: string): void };
}

const barWidth = 24;

export function createStory(stream: NodeJS.WriteStream): Story {
  const colour = stream.isTTY && stream.hasColors();
  const style = (format: Parameters<typeof styleText>[0], text: string) => (colour ? styleText(format, text) : text);
  const line = (text: string) => void stream.write(`${text}\n`);
  return {
    heading: (text) => line(`\n${style('bold', text)}`),
    say: (text) => line(`  ${text}`),
    table(columns, rows) {
      for (const text of tableLines(columns, rows)) line(`  ${text}`);
    },
    progress(label) {
      const began = performance.now();
      let shown = '';
      return {
        at(done, total, detail = '') {
          if (!stream.isTTY) return;
          const filled = total > 0 ? Math.round((done / total) * barWidth) : 0;
          const bar = total > 0 ? `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)} ${done}/${total} ` : '';
          const text = `  ${label} ${bar}${detail}`.slice(0, stream.columns - 1);
          if (text !== shown) stream.write(`\r\u001b[K${text}`);
          shown = text;
        },
        end(detail) {
          if (stream.isTTY) stream.write('\r\u001b[K');
          line(`  ${label}: ${detail} ${style('dim', `(${((performance.now() - began) / 1000).toFixed(1)} s)`)}`);
        },
      };
    },
  };
}

/** Columns as wide as their widest cell; what looks like a number is set to the right. */
export function tableLines(
  columns: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string[] {
  const cells = [columns, ...rows.map((row) => row.map((cell) => (cell === null ? '–' : String(cell))))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const isNumber = columns.map(
    (_, at) => rows.length > 0 && rows.every((row) => row[at] === null || /^[-+]?[\d,.]+%?$/.test(String(row[at]))),
  );
  const format = (row: readonly string[]) =>
    row
      .map((cell, at) => (isNumber[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  return [format(columns), widths.map((width) => '─'.repeat(width)).join('  '), ...cells.slice(1).map(format)];
}
