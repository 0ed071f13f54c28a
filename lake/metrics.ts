import { DomainError } from '../domain/errors.js';
import type { CalibrationBin, Evaluated, Metrics, SliceMetrics } from '../domain/evaluation.js';
import { quoteName, quoteText, type Session } from './duckdb.js';

/**
 * Metrics of binary predictions, the same to the last bit whatever the order of rows and the number of threads: sums of
 * doubles depend on their order, so every row's share is first rounded to a multiple of 2^-60 and then added as an integer.
 * That rounding moves a mean by at most 2^-61; everything after the sums is done once, in TypeScript.
 */
const scaleBits = 60;
const scale = 2 ** scaleBits;
const binCount = 10;
const sliceValuesMax = 1000;
/** A session's temporary tables are its own. */
const judged = 'judged_predictions';

export interface BinaryPredictions {
  /** SQL of a relation: a table's name or `read_parquet([…])`. It is read once. */
  readonly relation: string;
  /** A BOOLEAN column; rows where it is NULL have no label yet and are not judged. */
  readonly label: string;
  /** Probabilities, FLOAT or DOUBLE; rows where it is NULL are not judged. NaN or outside of 0 to 1: `prediction_invalid`. */
  readonly prediction: string;
  /** Columns whose values get metrics of their own; at most the 1000 values with most rows of each. */
  readonly slices?: readonly string[];
  /** Slices with fewer judged rows are left out. Default 1. */
  readonly sliceRowsMin?: number;
}

/** Throws `prediction_invalid`, or `query_failed` when the relation cannot be read. */
export async function binaryMetrics(session: Session, options: BinaryPredictions): Promise<Evaluated> {
  const { slices = [], sliceRowsMin = 1 } = options;
  const sliced = slices.map((column, index) => `CAST(${quoteName(column)} AS VARCHAR) AS slice_${index}`);
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${judged} AS SELECT ${[
      `CAST(${quoteName(options.label)} AS BOOLEAN) AS positive`,
      `CAST(${quoteName(options.prediction)} AS DOUBLE) AS prediction`,
      `if(typeof(${quoteName(options.prediction)}) = 'FLOAT', ${double(2 ** -23)}, ${double(2 ** -52)}) AS eps`,
      ...sliced,
    ].join(
      ', ',
    )} FROM ${options.relation} WHERE ${quoteName(options.label)} IS NOT NULL AND ${quoteName(options.prediction)} IS NOT NULL`,
  );
  try {
    await assertProbabilities(session, options.prediction);
    const overall = (await cellsOf(session, 'NULL', 1))[0]?.cells ?? [];
    const found: SliceMetrics[] = [];
    for (const [index, column] of slices.entries())
      for (const { value, cells } of await cellsOf(session, `slice_${index}`, sliceRowsMin))
        found.push({ column, value, metrics: metricsOf(cells) });
    return { overall: metricsOf(overall), slices: found, calibration: calibrationOf(overall) };
  } finally {
    await session.run(`DROP TABLE ${judged}`);
  }
}

async function assertProbabilities(session: Session, column: string): Promise<void> {
  // NaN is greater than everything in DuckDB, so one comparison finds it too.
  const [bad] = await session.rows<{ prediction: number | string; rows: number }>(
    `SELECT min(prediction) AS prediction, CAST(count(*) AS DOUBLE) AS rows FROM ${judged} WHERE prediction < 0 OR prediction > 1`,
  );
  if (!bad || bad.rows === 0) return;
  throw new DomainError(
    'prediction_invalid',
    `${bad.rows} values of ${column} are not probabilities, such as ${bad.prediction}.`,
    {
      column,
      rows: bad.rows,
    },
  );
}

/** Exact sums over the rows of one calibration bin; `…Sum` are in units of 2^-60, `wins` are half pairs won. */
interface Cell {
  readonly bin: number;
  readonly rows: bigint;
  readonly positives: bigint;
  readonly predictionSum: bigint;
  readonly squareSum: bigint;
  readonly lossSum: bigint;
  /** Twice the number of pairs (a positive of this bin, any negative) that the positive won; a tie is one half. */
  readonly wins: bigint;
}

interface Slice {
  readonly value: string | null;
  readonly cells: readonly Cell[];
}

type CellRow = { value: string | null } & Record<keyof Cell, string>;

/** The cells of every value of `slice`, most rows first. Rows with one prediction are counted first, for the rest is the same for all of them. */
async function cellsOf(session: Session, slice: string, rowsMin: number): Promise<Slice[]> {
  const rows = await session.rows<CellRow>(`
    WITH points AS (
      SELECT CAST(${slice} AS VARCHAR) AS value, prediction, any_value(eps) AS eps,
        count(*) FILTER (positive) AS positives, count(*) FILTER (NOT positive) AS negatives
      FROM ${judged} GROUP BY ALL
    ), ranked AS (
      SELECT *, sum(negatives) OVER (PARTITION BY value ORDER BY prediction) AS not_above,
        sum(positives + negatives) OVER (PARTITION BY value) AS total
      FROM points
    ), cells AS (
      SELECT value, any_value(total) AS total, ${binSql('prediction')} AS bin, sum(positives + negatives) AS rows, sum(positives) AS positives,
        sum((positives + negatives)::HUGEINT * ${fixed('prediction')}) AS "predictionSum",
        sum(positives::HUGEINT * ${fixed('(1 - prediction) * (1 - prediction)')} + negatives::HUGEINT * ${fixed('prediction * prediction')}) AS "squareSum",
        sum(positives::HUGEINT * ${lossSql('prediction')} + negatives::HUGEINT * ${lossSql('1 - prediction')}) AS "lossSum",
        sum(positives::HUGEINT * (2 * not_above - negatives)) AS wins
      FROM ranked WHERE total >= ${Math.max(1, Math.trunc(rowsMin))} GROUP BY ALL
    ), chosen AS (
      SELECT value, any_value(total) AS total FROM cells GROUP BY value ORDER BY total DESC, value LIMIT ${sliceValuesMax}
    )
    SELECT cells.* EXCLUDE (total) FROM cells JOIN chosen ON cells.value IS NOT DISTINCT FROM chosen.value
    ORDER BY cells.total DESC, cells.value, bin`);
  const slices: { value: string | null; cells: Cell[] }[] = [];
  for (const row of rows) {
    if (slices.length === 0 || slices.at(-1)?.value !== row.value) slices.push({ value: row.value, cells: [] });
    slices.at(-1)?.cells.push(cellOf(row));
  }
  return slices;
}

const cellOf = ({ bin, rows, positives, predictionSum, squareSum, lossSum, wins }: CellRow): Cell => ({
  bin: Number(bin),
  rows: BigInt(rows),
  positives: BigInt(positives),
  predictionSum: BigInt(predictionSum),
  squareSum: BigInt(squareSum),
  lossSum: BigInt(lossSum),
  wins: BigInt(wins),
});

const fixed = (sql: string): string => `CAST(round((${sql}) * ${double(scale)}) AS HUGEINT)`;

/** −ln p with p clipped to [eps, 1 − eps], eps being the machine's for the column's type, as scikit-learn does. */
const lossSql = (sql: string): string => fixed(`-ln(least(greatest(${sql}, eps), 1 - eps))`);

/** 0 to 9: how many inner edges lie below the prediction, so a prediction on an edge belongs to the bin below. */
const binSql = (sql: string): string =>
  Array.from({ length: binCount - 1 }, (_, index) => `CAST(${sql} > ${double(edge(index + 1))} AS INTEGER)`).join(
    ' + ',
  );

/** NumPy's linspace(0, 1, 11), bit for bit: 3 × 0.1 is 0.30000000000000004. */
const edge = (index: number): number => (index === binCount ? 1 : index * (1 / binCount));
/** As text, because DuckDB reads a plain 0.3 as a DECIMAL. */
const double = (value: number): string => `${quoteText(String(value))}::DOUBLE`;

function metricsOf(cells: readonly Cell[]): Metrics {
  const rows = total(cells, 'rows');
  const positives = total(cells, 'positives');
  const pairs = positives * (rows - positives);
  const mean = (sum: bigint) => (rows === 0n ? null : quotient(sum, rows));
  const gaps = cells.map(gapOf);
  return {
    rows: Number(rows),
    positives: Number(positives),
    auc: pairs === 0n ? null : Number(total(cells, 'wins')) / Number(2n * pairs),
    log_loss: mean(total(cells, 'lossSum')),
    brier: mean(total(cells, 'squareSum')),
    calibration_gap: mean(gaps.reduce((sum, gap) => sum + gap, 0n)),
    calibration_error: mean(gaps.reduce((sum, gap) => sum + (gap < 0n ? -gap : gap), 0n)),
  };
}

function calibrationOf(cells: readonly Cell[]): CalibrationBin[] {
  return Array.from({ length: binCount }, (_, bin) => {
    const cell = cells.find((cell) => cell.bin === bin);
    return {
      lower: edge(bin),
      upper: edge(bin + 1),
      rows: Number(cell?.rows ?? 0n),
      meanPrediction: cell ? quotient(cell.predictionSum, cell.rows) : null,
      positiveShare: cell ? Number(cell.positives) / Number(cell.rows) : null,
    };
  });
}

/** Sum of predictions minus number of positives, in units of 2^-60. */
const gapOf = ({ predictionSum, positives }: Cell): bigint => predictionSum - (positives << BigInt(scaleBits));
const total = (cells: readonly Cell[], field: Exclude<keyof Cell, 'bin'>): bigint =>
  cells.reduce((sum, cell) => sum + cell[field], 0n);
const quotient = (sum: bigint, rows: bigint): number => Number(sum) / (Number(rows) * scale);
