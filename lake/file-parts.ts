import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { quoteText, type Session } from './duckdb.js';

/** A column's values in one row group of a Parquet file: a slice of its bytes. */
export interface FilePart {
  readonly rowGroup: number;
  readonly column: string;
  readonly offset: number;
  readonly bytes: number;
}

/** More digests than this would be a burden of their own: then a row group has one. */
const digestsMax = 20_000;
/** Hex digits of SHA-256 that are kept: enough to find damage, which nobody makes on purpose without changing the file's hash. */
const digestLength = 16;
const readMax = 4 * 2 ** 20;

/** Where the file's columns lie, by row group; throws `query_failed` when its footer does not read. */
export async function fileParts(session: Session, path: string): Promise<FilePart[][]> {
  const rows = await session.rows<FilePart & { columnNumber: number }>(
    `SELECT row_group_id::DOUBLE AS "rowGroup", column_id::DOUBLE AS "columnNumber", path_in_schema AS "column",
       (CASE WHEN dictionary_page_offset > 0 THEN least(dictionary_page_offset, data_page_offset) ELSE data_page_offset END)::DOUBLE AS "offset", total_compressed_size::DOUBLE AS bytes
     FROM parquet_metadata(${quoteText(path)}) ORDER BY row_group_id, column_id`,
  );
  const groups: FilePart[][] = [];
  for (const { rowGroup, column, offset, bytes } of rows)
    (groups[rowGroup] ??= []).push({ rowGroup, column, offset, bytes });
  return groups;
}

/** `digests[rowGroup][column]`, or one a row group when there are too many. */
export async function partDigests(path: string, groups: readonly (readonly FilePart[])[]): Promise<string[][]> {
  const count = groups.reduce((sum, group) => sum + group.length, 0);
  const handle = await open(path);
  try {
    const digests: string[][] = [];
    for (const group of groups) {
      const slices = count > digestsMax ? [group] : group.map((part) => [part]);
      const found: string[] = [];
      for (const slice of slices) found.push(await digestOf(handle, slice));
      digests.push(found);
    }
    return digests;
  } finally {
    await handle.close();
  }
}

async function digestOf(handle: FileHandle, parts: readonly FilePart[]): Promise<string> {
  const hash = createHash('sha256');
  for (const { offset, bytes } of parts)
    for (let at = 0; at < bytes;) {
      const buffer = Buffer.allocUnsafe(Math.min(bytes - at, readMax));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset + at);
      hash.update(buffer.subarray(0, bytesRead));
      // The file is shorter than its footer says: what is there makes another digest.
      if (bytesRead === 0) break;
      at += bytesRead;
    }
  return hash.digest('hex').slice(0, digestLength);
}

/** The parts whose digest is another than the recorded one. */
export async function changedParts(
  path: string,
  groups: readonly (readonly FilePart[])[],
  recorded: readonly (readonly string[])[],
): Promise<{ readonly rowGroup: number; readonly column: string | null }[]> {
  const found = await partDigests(path, groups);
  return recorded.flatMap((digests, rowGroup) =>
    digests.flatMap((digest, at) =>
      found[rowGroup]?.[at] === digest
        ? []
        : [
            {
              rowGroup,
              column:
                digests.length === 1 && (groups[rowGroup]?.length ?? 0) > 1
                  ? null
                  : (groups[rowGroup]?.[at]?.column ?? null),
            },
          ],
    ),
  );
}
