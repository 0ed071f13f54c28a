import { oddText, type Random } from './random.js';

const corpus = [
  'SELECT * FROM features.known',
  'SELECT count(*), sum(n) FROM features.known WHERE n % 7 = 3',
  'SELECT k.n, p.value FROM features.known k JOIN features.price p ON p.shop = k.n ORDER BY ALL LIMIT 20',
  'SELECT * FROM features."price@s1" LIMIT 5',
  'SELECT ?::INTEGER + ?, upper(?) FROM features.known LIMIT 1',
  'SELECT $1::DATE, $2::DECIMAL(10,2), $3::INTERVAL',
  'SELECT CASE WHEN n > 3 THEN label ELSE NULL END AS c, row_number() OVER (PARTITION BY n % 3 ORDER BY n) FROM features.known',
  'WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 100) SELECT sum(i) FROM t',
  "SELECT list_transform([1, 2, 3], x -> x + 1), {'a': 1, 'b': [1, NULL]}, MAP {'k': 2}",
  'SELECT unnest(range(10)), (SELECT max(n) FROM features.known)',
  "SELECT n, label FROM features.known WHERE label LIKE 'l%' UNION ALL SELECT shop, name FROM features.price LIMIT 9",
  'PIVOT features.known ON label USING count(*)',
  'FROM features.known SELECT n USING SAMPLE 3 ROWS',
  'SELECT * EXCLUDE (label) REPLACE (n + 1 AS n) FROM features.known QUALIFY n < 4',
  "SELECT CAST('x' AS INTEGER)",
  'SELECT 1 / 0, 9223372036854775807 + n FROM features.known',
  "SELECT error('as the client says')",
  'VALUES (1, NULL), (2, repeat(\'x\', 1000))',
  'SUMMARIZE features.known',
  'SELECT * FROM features.price p ASOF JOIN features.market m ON p.event_time >= m.event_time LIMIT 5',
]; // prettier-ignore

const refusedOnes = [
  "SELECT * FROM read_parquet('/etc/passwd')", "SELECT * FROM '/etc/passwd'", 'SELECT * FROM duckdb_secrets()', "SELECT getenv('PATH')",
  "COPY (SELECT 1) TO '/tmp/x'", "ATTACH '/tmp/x.db'", 'SET threads = 100', 'PRAGMA database_list', 'INSTALL httpfs', 'CREATE TABLE t AS SELECT 1',
  'DROP VIEW v', 'SELECT 1; SELECT 2', 'INSERT INTO features.known VALUES (1)', 'CHECKPOINT', "SELECT * FROM glob('/*')", 'EXPLAIN SELECT 1',
  'SELECT * FROM information_schema.tables', 'DESCRIBE features.known', 'SELECT * FROM other.features.known', 'EXECUTE p', 'VACUUM', 'LOAD x',
]; // prettier-ignore

const words = [
  'SELECT', 'FROM', 'WHERE', 'GROUP BY', 'ORDER BY', 'LIMIT', 'UNION ALL', 'NULL', '*', '(', ')', ',', '::', '->', '=', '<>', '?', '$1', '$name', "'", '"',
  'features.known', 'n', 'label', '[', ']', '{', '}', 'CASE WHEN', 'END', 'AS', 'JOIN', 'LATERAL', 'ASOF', 'VARCHAR', '--', '/*', '*/', ';', '\\', '1e999',
  '0x', '@', '🦆', 'count(*)', 'list(n)', 'OVER ()', 'EXCEPT', 'COLUMNS(*)', 'TRY_CAST', 'INTERVAL', '-9223372036854775809', 'POSITIONAL JOIN', '%', '**',
]; // prettier-ignore

const deep: readonly ((levels: number) => string)[] = [
  (levels) => `SELECT ${'('.repeat(levels)}1${')'.repeat(levels)}`,
  (levels) => `SELECT ${'NOT '.repeat(levels)}true`,
  (levels) => `SELECT ${Array.from({ length: levels }, () => '1').join(' + ')}`,
  (levels) => `${'SELECT * FROM ('.repeat(levels)}SELECT 1${')'.repeat(levels)}`,
  (levels) => `SELECT ${'['.repeat(levels)}1${']'.repeat(levels)}`,
  (levels) => `SELECT ${'abs('.repeat(levels)}1${')'.repeat(levels)}`,
  (levels) => Array.from({ length: levels }, () => 'SELECT 1').join(' UNION ALL '),
  (levels) => `SELECT ${'CASE WHEN true THEN '.repeat(levels)}1${' END'.repeat(levels)}`,
  (levels) => `SELECT 1 AS ${'a'.repeat(levels)}`,
  (levels) => `SELECT '${'x'.repeat(levels * 20)}'`,
  (levels) => `SELECT ${Array.from({ length: levels }, (_, at) => `${at} AS c${at}`).join(', ')}`,
  (levels) => `SELECT * FROM ${Array.from({ length: Math.min(levels, 60) }, (_, at) => `features.known k${at}`).join(', ')} LIMIT 1`,
  (levels) => `SELECT n FROM features.known WHERE n IN (${Array.from({ length: levels }, (_, at) => at).join(', ')})`,
  (levels) => `SELECT ${'-'.repeat(levels)}1`,
  (levels) => `SELECT CAST(NULL AS ${'STRUCT(a '.repeat(levels)}INTEGER${')'.repeat(levels)})`,
  (levels) => `SELECT CAST(NULL AS INTEGER${'[]'.repeat(levels)})`,
]; // prettier-ignore

/** A statement as clients write them, as they mistype them, and as nobody would. */
export function statementOf(random: Random): string {
  const kind = random.below(100);
  if (kind < 15) return random.pick(corpus);
  if (kind < 25) return random.pick(refusedOnes);
  if (kind < 30) return random.pick(deep)(random.pick([2, 30, 200, 1_000, 5_000]));
  if (kind < 36) return Array.from({ length: random.below(25) }, () => random.pick(words)).join(' ');
  if (kind < 38) return oddText(random);
  return mistyped(random, random.percent(85) ? random.pick(corpus) : random.pick(refusedOnes));
}

function mistyped(random: Random, sql: string): string {
  let tokens = sql.split(/(\s+|[(),])/);
  for (let changes = 1 + random.below(3); changes > 0 && tokens.length > 0; changes--) {
    const at = random.below(tokens.length);
    tokens = random.pick<() => string[]>([
      () => tokens.toSpliced(at, 1),
      () => tokens.toSpliced(at, 0, ` ${random.pick(words)} `),
      () => tokens.with(at, random.pick(words)),
      () => tokens.with(at, oddText(random)),
      () => tokens.toSpliced(at, 0, ...tokens.slice(0, random.below(tokens.length))),
    ])();
  }
  return tokens.join('').slice(0, 100_000);
}
