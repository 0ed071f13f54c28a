import { digestOf } from '../../domain/json.js';
import type { SourceAccess } from '../access.js';
import { quoteText } from '../duckdb.js';
import { missing, type Source, type SourceFormat } from './source.js';
import { metadataOf, pinTable } from './tables.js';

/** A Delta table: its version is the number of its last commit, and rows are read as of that one. */
export const deltaTable: SourceFormat = {
  version: async (source, access) => (await lastCommit(source, access)).version,

  async pin(session, source, access, reach) {
    const { path, number, version } = await lastCommit(source, access);
    const rows = `delta_scan(${quoteText(path)}, version => ${number})`;
    return pinTable(session, source, access, reach, { version, extensions: ['delta'], rows }, () =>
      deltaTable.version(source, access),
    );
  },
};

async function lastCommit(source: Source, access: SourceAccess) {
  const { path, files } = await metadataOf(source, access, '_delta_log');
  const commits = files.filter(({ name }) => /^\d{20}\.json$/.test(name));
  const last = commits.reduce((one, other) => (one && one.name > other.name ? one : other), commits[0]);
  if (!last) throw missing(source, `${path}, which has no commit of Delta.`);
  // The state beside the number: a table that was dropped and made anew counts from 0 again.
  return { path, number: Number(last.name.slice(0, 20)), version: digestOf({ definition: source.hash, last }) };
}
