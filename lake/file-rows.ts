import { quoteName, quoteText } from './duckdb.js';

/** DuckDB's own name for the place of a row in its Parquet file, from 0. */
const engineNumber = 'file_row_number';

export interface NumberedFiles {
  readonly paths: readonly string[];
  /** What `read_parquet` is told beside the files, each with a comma before it. */
  readonly options?: string;
  /** What the files' own columns are called. */
  readonly columns: readonly string[];
  /** What the number is called. */
  readonly number: string;
  /** What the file is called that a row is of; null: nobody asks. */
  readonly file: string | null;
}

/**
 * Rows of Parquet files with their number in their file. DuckDB counts them, and still skips what a filter does not want;
 * where a column is called as its number is, it refuses to, and all rows are counted here, in the order in which they come.
 */
export function numberedRows({ paths, options = '', columns, number, file }: NumberedFiles): string {
  const reader = (more: string) => `read_parquet([${paths.map(quoteText).join(', ')}]${options}${more})`;
  const [as, named] = [quoteName(number), file ?? '#file'];
  if (!columns.some((name) => name.toLowerCase() === engineNumber)) {
    const filename = file === null ? '' : `, filename = ${quoteText(named)}`;
    return `(SELECT * RENAME (${engineNumber} AS ${as}) FROM ${reader(`${filename}, ${engineNumber} = true`)})`;
  }
  const left = ['"#place"', ...(file === null ? [quoteName(named)] : [])].join(', ');
  return `(SELECT * EXCLUDE (${left}), "#place" - min("#place") OVER (PARTITION BY ${quoteName(named)}) AS ${as}
    FROM (SELECT *, row_number() OVER () AS "#place" FROM ${reader(`, filename = ${quoteText(named)}`)}))`;
}
