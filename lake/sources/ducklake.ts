import { realpath } from 'node:fs/promises';
import { DomainError, isDomainError } from '../../domain/errors.js';
import { digestOf } from '../../domain/json.js';
import type { SourceAccess } from '../access.js';
import { quoteName, quoteText, type Session } from '../duckdb.js';
import { requireWithinRoots, sourceFiles } from './files.js';
import { copyRows, withImporter, type Importer } from './importer.js';
import { missing, notAllowed, pinnedCopy, reachClause, type Source, type SourceFormat } from './source.js';

/** A table of a DuckLake whose catalogue is a file of DuckDB: rows are read as of the lake's newest snapshot. */
export const duckLakeTable: SourceFormat = {
  async version(source, access) {
    const catalogue = await catalogueOf(source, access);
    return withImporter(access, importerOf(source), undefined, async (inside) => {
      await attach(inside, catalogue);
      return (await newestSnapshot(inside, source)).version;
    }).catch((error: unknown) => {
      throw held(source, error);
    });
  },

  async pin(session, source, access, reach) {
    const catalogue = await catalogueOf(source, access);
    let version: string | null = null;
    const rows = await copyRows(session, access, importerOf(source), async (inside) => {
      await attach(inside, catalogue);
      const newest = await newestSnapshot(inside, source);
      version = newest.version;
      const table = (source.spec.table ?? '').split('.').map(quoteName).join('.');
      return `SELECT * FROM lake.${table} AT (VERSION => ${newest.snapshot})${reachClause(source, reach)}`;
    }).catch((error: unknown) => {
      throw held(source, error);
    });
    return pinnedCopy(source, version, rows);
  },
};

const importerOf = (source: Source): Importer => ({ source, extensions: ['ducklake'] });

const attach = (inside: Session, catalogue: string): Promise<void> =>
  inside.run(`ATTACH ${quoteText(`ducklake:${catalogue}`)} AS lake (READ_ONLY)`);

async function catalogueOf(source: Source, access: SourceAccess): Promise<string> {
  if (source.spec.path?.startsWith('s3://')) throw notAllowed(source);
  const [file = ''] = await sourceFiles(source, access);
  await requireWithinRoots(source, [await realpath(file)], access);
  return file;
}

/** The table's identity beside the number: a lake that was made anew counts from 0 again. */
async function newestSnapshot(inside: Session, source: Source): Promise<{ snapshot: number; version: string }> {
  const [newest] = await inside.rows<{ snapshot: number }>(
    "SELECT max(snapshot_id)::DOUBLE AS snapshot FROM ducklake_snapshots('lake')",
  );
  const [schema, table] = (source.spec.table ?? '').includes('.')
    ? (source.spec.table ?? '').split('.')
    : ['main', source.spec.table];
  const [found] = await inside.rows<{ id: string }>(
    'SELECT i.table_uuid::VARCHAR AS id FROM ducklake_table_info($lake) AS i JOIN duckdb_tables() AS t ON t.database_name = $lake AND t.table_name = i.table_name WHERE t.schema_name = $schema AND t.table_name = $table',
    { lake: 'lake', schema: schema ?? '', table: table ?? '' },
  );
  if (!newest || !found) throw missing(source, `table ${source.spec.table}, which ${source.spec.path} does not have.`);
  return {
    snapshot: newest.snapshot,
    version: digestOf({ definition: source.hash, table: found.id, snapshot: newest.snapshot }),
  };
}

/** A catalogue that is a file has one writer at a time, and meanwhile no reader. */
function held(source: Source, error: unknown): unknown {
  if (!isDomainError(error) || !/Conflicting lock|Could not set lock/.test(error.message)) return error;
  return new DomainError('source_unreachable', error.message, { source: source.name }, { cause: error });
}
