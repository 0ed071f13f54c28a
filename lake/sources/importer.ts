import { randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { DomainError, isDomainError } from '../../domain/errors.js';
import type { ExtensionName, ImportAccess, SourceAccess } from '../access.js';
import { openSession, quoteName, quoteText, type Session } from '../duckdb.js';
import { changed, unreadable, type Source } from './source.js';

export interface Importer {
  readonly source: Source;
  readonly extensions: readonly ExtensionName[];
  /** Run before the engine is locked; these may hold secrets, which no error repeats. */
  readonly prepare?: readonly string[];
  readonly secrets?: readonly string[];
  /** Beyond the roots. */
  readonly directories?: readonly string[];
}

/**
 * Runs our own statements, never SQL of people, in an engine that lives only for them: it may load extensions and know
 * secrets. It reaches the roots and the folder of copies, nothing else, whatever the metadata of a table says.
 */
export async function withImporter<Result>(
  access: SourceAccess,
  { source, extensions, prepare = [], secrets = [], directories = [] }: Importer,
  signal: AbortSignal | undefined,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const imports = requireImports(source, access);
  const files = await Promise.all(extensions.map((name) => imports.extension(name)));
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(imports.threads),
    memory_limit: imports.memoryLimit,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  try {
    return await openSession(instance, signal, async (session) => {
      const reachable = [...access.roots, imports.scratch, ...directories].map((folder) =>
        quoteText(folder.endsWith('/') ? folder : `${folder}/`),
      );
      const statements = [
        ...files.map((file) => `LOAD ${quoteText(file)}`),
        `SET temp_directory = ${quoteText(imports.scratch)}`,
        "SET GLOBAL TimeZone = 'UTC'",
        // Not the secrets that somebody keeps in the home folder.
        `SET secret_directory = ${quoteText(join(imports.scratch, 'no-secrets'))}`,
        'SET allow_community_extensions = false',
        ...prepare,
        `SET allowed_directories = [${reachable.join(', ')}]`,
        'SET enable_external_access = false',
        'SET lock_configuration = true',
      ];
      for (const statement of statements) await session.run(statement);
      return work(session);
    });
  } catch (error) {
    throw failureOf(source, error, secrets);
  } finally {
    instance.closeSync();
  }
}

/** Copies what the SELECT yields in one statement, hence of one state, and shows it to the session; returns its relation. */
export async function copyRows(
  session: Session,
  access: SourceAccess,
  importer: Importer,
  select: string | ((inside: Session) => Promise<string>),
): Promise<string> {
  const { scratch } = requireImports(importer.source, access);
  const name = `copy_${randomUUID().replaceAll('-', '')}`;
  const file = join(scratch, `${name}.duckdb`);
  session.atEnd(() => rm(file, { force: true }));
  session.atEnd(() => rm(`${file}.wal`, { force: true }));
  await withImporter(access, importer, session.signal, async (inside) => {
    const sql = typeof select === 'string' ? select : await select(inside);
    await inside.run(`ATTACH ${quoteText(file)} AS copied`);
    await inside.run(`CREATE TABLE copied.copied_rows AS ${sql}`);
    await inside.run('DETACH copied');
  });
  await session.run(`ATTACH ${quoteText(file)} AS ${quoteName(name)} (READ_ONLY)`);
  session.atEnd(async () => void (await session.connection.run(`DETACH ${quoteName(name)}`)));
  return `${quoteName(name)}.copied_rows`;
}

const copyAgeMaxMs = 24 * 3600_000;

/** Removes copies that killed processes left; a younger one may be another process's. */
export async function clearCopies(scratch: string): Promise<void> {
  const names = (await readdir(scratch)).filter((name) => /^copy_[0-9a-f]{32}\.duckdb/.test(name));
  for (const file of names.map((name) => join(scratch, name)))
    if (Date.now() - (await stat(file)).mtimeMs > copyAgeMaxMs) await rm(file, { force: true });
}

export function requireImports(source: Source, { imports }: SourceAccess): ImportAccess {
  if (imports) return imports;
  throw new DomainError(
    'extension_missing',
    `Source "${source.name}": this process reads local files of Parquet, CSV and JSON only.`,
    { source: source.name },
  );
}

/** What DuckDB says when an object of S3 has another ETag than at first: it is no fault of the file, which may even be back as it was. */
const replaced = /^HTTP Error: ETag on reading file /;

/** DuckDB repeats the statement and the address in its sentences, password included. */
function failureOf(source: Source, error: unknown, secrets: readonly string[]): unknown {
  if (!isDomainError(error) || error.code !== 'query_failed') return error;
  const told = secrets
    .filter((secret) => secret !== '')
    .sort((one, other) => other.length - one.length)
    .reduce((text, secret) => text.replaceAll(secret, '***'), error.message);
  const cause = new DomainError('query_failed', told, {});
  return replaced.test(told) ? changed(source, cause) : unreadable(source, cause);
}
