import { z } from 'zod';
import { ColumnName, DuckDbType, ResourceNameSchema, SqlText } from './names.js';

/** Where raw rows live. */
export const SourceSpec = z
  .strictObject({
    format: z.enum(['parquet', 'csv', 'json', 'postgres', 'delta', 'iceberg', 'ducklake']).default('parquet'),
    path: z
      .string()
      .min(1)
      .max(1000)
      .optional()
      .describe('A file or glob, s3:// too; the folder of a Delta or Iceberg table; the catalogue file of a DuckLake. A relative path resolves against the YAML file.'), // prettier-ignore
    connection: ResourceNameSchema.optional().describe('The PostgreSQL database, by its name in EIDER_CONNECTIONS.'),
    table: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$/, 'must be TABLE or SCHEMA.TABLE')
      .optional()
      .describe('The table of a PostgreSQL database or a DuckLake, as TABLE or SCHEMA.TABLE.'),
    columns: z
      .record(ColumnName, DuckDbType)
      .optional()
      .describe('The columns of the files and their types. CSV and JSON need it, because they have none; with it, what a Parquet file lacks is NULL in its rows.'), // prettier-ignore
    rowNumber: ColumnName.optional().describe(
      'Adds a column of this name that holds the row number within the file, from 0.',
    ),
    eventTime: ColumnName.describe('The column that says when the row’s fact was true.'),
    knownAt: SqlText.optional().describe(
      'When the row could be known: an SQL expression over its columns. Default: the event time.',
    ),
  })
  .superRefine(requireLocation)
  .meta({ id: 'SourceSpec' });
export type SourceSpec = z.infer<typeof SourceSpec>;

/** Which of the fields that say where the rows are belong to which format. */
function requireLocation(
  {
    format,
    ...spec
  }: { format: string; path?: string; connection?: string; table?: string; rowNumber?: string; columns?: object },
  context: z.RefinementCtx,
): void {
  const wanted = format === 'postgres' ? ['connection', 'table'] : format === 'ducklake' ? ['path', 'table'] : ['path'];
  for (const field of ['path', 'connection', 'table'] as const) {
    const path = [field];
    if (wanted.includes(field) && spec[field] === undefined)
      context.addIssue({ code: 'custom', path, message: `is required for the format ${format}` });
    if (!wanted.includes(field) && spec[field] !== undefined)
      context.addIssue({ code: 'custom', path, message: `does not belong to the format ${format}` });
  }
  if (spec.rowNumber !== undefined && format !== 'parquet')
    context.addIssue({ code: 'custom', path: ['rowNumber'], message: 'is for Parquet only' });
  if (spec.columns !== undefined && !['parquet', 'csv', 'json'].includes(format))
    context.addIssue({ code: 'custom', path: ['columns'], message: 'is for Parquet, CSV and JSON only' });
}
