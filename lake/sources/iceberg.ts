import { DomainError } from '../../domain/errors.js';
import { digestOf } from '../../domain/json.js';
import type { SourceAccess } from '../access.js';
import { quoteText } from '../duckdb.js';
import { missing, type Source, type SourceFormat } from './source.js';
import { metadataOf, pinTable } from './tables.js';

/**
 * An Iceberg table without its catalogue: the newest of its metadata files says which snapshot is current, and is never
 * changed, so reading by that file is reading that snapshot.
 */
export const icebergTable: SourceFormat = {
  version: async (source, access) => (await newestMetadata(source, access)).version,

  async pin(session, source, access, reach) {
    const { file, version } = await newestMetadata(source, access);
    const rows = `iceberg_scan(${quoteText(file)})`;
    return pinTable(session, source, access, reach, { version, extensions: ['avro', 'iceberg'], rows }, () =>
      icebergTable.version(source, access),
    );
  },
};

async function newestMetadata(source: Source, access: SourceAccess) {
  const { path, files } = await metadataOf(source, access, 'metadata');
  // Catalogues write 00002-UUID.metadata.json, tables of a file system v2.metadata.json.
  const numbered = files.flatMap((file) => {
    const [, number] = /^v?(\d+)(?:-[\w-]+)?(?:\.gz)?\.metadata\.json$/.exec(file.name) ?? [];
    return number === undefined ? [] : [{ ...file, number: Number(number) }];
  });
  const number = Math.max(...numbered.map((file) => file.number));
  const [newest, rival] = numbered.filter((file) => file.number === number);
  if (!newest) throw missing(source, `${path}, which has no metadata of Iceberg.`);
  if (rival)
    throw new DomainError(
      'source_unreadable',
      `Source "${source.name}": ${newest.name} and ${rival.name} both claim to be the newest state of ${path}; remove the one that its catalogue does not name.`,
      { source: source.name },
    );
  return {
    file: `${path}/metadata/${newest.name}`,
    version: digestOf({ definition: source.hash, newest: [newest.name, newest.state] }),
  };
}
