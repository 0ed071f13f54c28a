import type { PinnedTable, TableFile } from '../../domain/tables.js';
import type { ReadPlan } from './plan.js';
import { tablePlan } from './table.js';

/** Half-open, by the place of a row in its table: which rows those are does not change when files are compacted. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

type Files = Pick<PinnedTable, 'columns' | 'files' | 'rows' | 'corrections'>;

/** DuckDB writes row groups of so many rows, and skips those that hold no row of a range. */
const groupRows = 122_880;
/** DuckDB's own column of a Parquet file, unless the file has one of this name. */
const rowNumber = 'file_row_number';

/**
 * Up to `rangesMax` ranges of about `bytes` of Parquet each, in the order of the rows, cut where files and row groups end. With
 * corrections nobody knows the places of the rows beforehand: one range.
 */
export function rangesOf(table: Files, bytes: number, rangesMax: number): RowRange[] {
  if (table.corrections) return [{ start: 0, end: table.rows }];
  const total = table.files.reduce((sum, file) => sum + file.bytes, 0);
  const count = Math.min(rangesMax, Math.floor(total / bytes));
  const cuts = [0];
  let [bytesBefore, rowsBefore] = [0, 0];
  for (const file of table.files) {
    // The cuts that fall into this file, by its share of the bytes.
    for (;;) {
      const cutBytes = (total * cuts.length) / Math.max(1, count);
      if (cuts.length >= count || cutBytes >= bytesBefore + file.bytes) break;
      cuts.push(rowsBefore + cutWithin(file, (cutBytes - bytesBefore) / file.bytes, canCut(table)));
    }
    [bytesBefore, rowsBefore] = [bytesBefore + file.bytes, rowsBefore + file.rows];
  }
  const starts = [...new Set(cuts)].filter((row) => row < rowsBefore || row === 0);
  return starts.map((start, at) => ({ start, end: starts[at + 1] ?? rowsBefore }));
}

function cutWithin({ rows }: TableFile, share: number, groups: boolean): number {
  const step = Math.max(1, groups ? Math.min(groupRows, rows) : rows);
  return Math.min(rows, Math.round((share * rows) / step) * step);
}

const canCut = ({ columns }: Files): boolean => columns.every(({ name }) => name.toLowerCase() !== rowNumber);

/** Those rows of the table's files, in their order. */
export function rangePlan(
  { columns, files }: Pick<Files, 'columns' | 'files'>,
  { start, end }: RowRange,
  lakeRoot: string,
): ReadPlan {
  const parts: { plan: ReadPlan; where: string }[] = [];
  let whole: TableFile[] = [];
  const endWhole = () => {
    if (whole.length > 0) parts.push({ plan: tablePlan({ columns, files: whole }, lakeRoot), where: '' });
    whole = [];
  };
  let before = 0;
  for (const file of files) {
    const [from, to] = [Math.max(0, start - before), Math.min(file.rows, end - before)];
    before += file.rows;
    if (from >= to) continue;
    if (from === 0 && to === file.rows) whole.push(file);
    else {
      endWhole();
      const where = ` WHERE ${rowNumber} >= ${from} AND ${rowNumber} < ${to}`;
      parts.push({ plan: tablePlan({ columns, files: [file] }, lakeRoot), where });
    }
  }
  endWhole();
  if (parts.length === 0) return tablePlan({ columns, files: [] }, lakeRoot);
  return {
    setup: [],
    scan: true,
    sql: parts.map(({ plan, where }) => `${plan.sql}${where}`).join(' UNION ALL '),
    files: parts.flatMap(({ plan }) => plan.files),
    rows: end - start,
  };
}
