import fc from 'fast-check';

/**
 * A DuckDB type, and SQL for a value of it that follows from a seed: `seed` is SQL for a BIGINT, different for each row and each
 * item of a list. Every fourth value is null, in every place.
 */
export interface RandomType {
  readonly sql: string;
  value(seed: string): string;
}

/** A number below `count` that follows from the seed, different for every `salt`. */
const draw = (seed: string, salt: number, count: number): string => `(hash(${seed}, ${salt}) % ${count})::BIGINT`;

const scalars: Record<string, (seed: string) => string> = {
  BOOLEAN: (seed) => `${draw(seed, 1, 2)} = 1`,
  TINYINT: (seed) => `${draw(seed, 2, 256)} - 128`,
  UINTEGER: (seed) => draw(seed, 3, 2 ** 32),
  BIGINT: (seed) => `${draw(seed, 4, 2 ** 40)} - 1000`,
  HUGEINT: (seed) => `(${draw(seed, 5, 2 ** 40)} - 1000)::HUGEINT * 1000000007 * 1000000007`,
  UHUGEINT: (seed) => draw(seed, 5, 2 ** 40),
  DOUBLE: (seed) => `CASE ${draw(seed, 6, 9)} WHEN 0 THEN 'nan'::DOUBLE ELSE sqrt(${draw(seed, 6, 1000)}) END`,
  'DECIMAL(4,1)': (seed) => `(${draw(seed, 7, 1999)} - 999) / 10`,
  'DECIMAL(9,2)': (seed) => `(${draw(seed, 8, 199999)} - 99999) / 100`,
  'DECIMAL(18,3)': (seed) => `(${draw(seed, 9, 2 ** 48)} - 99999999) / 1000`,
  'DECIMAL(30,5)': (seed) => `(${draw(seed, 10, 2 ** 48)} - 99999999)::DECIMAL(30,5) * 1000`,
  VARCHAR: (seed) => `repeat('duck ' || ${draw(seed, 11, 100)}, (${draw(seed, 12, 5)})::INTEGER)`,
  BLOB: (seed) => `('\\x00' || ${draw(seed, 13, 100)})::BLOB`,
  BIT: (seed) => `bin(${draw(seed, 14, 5000)})`,
  BIGNUM: (seed) => `(${draw(seed, 15, 2 ** 40)} - 1000)`,
  UUID: (seed) => `md5((${draw(seed, 16, 1000)})::VARCHAR)`,
  JSON: (seed) => `'{"a":' || ${draw(seed, 17, 1000)} || '}'`,
  DATE: (seed) => `DATE '1950-01-01' + (${draw(seed, 18, 40_000)})::INTEGER`,
  TIME: (seed) => `TIME '00:00:00' + to_microseconds(${draw(seed, 19, 86_400_000_000)})`,
  'TIME WITH TIME ZONE': (seed) => `'10:00:' || (10 + ${draw(seed, 20, 50)}) || '+02'`,
  TIMESTAMP: (seed) => `TIMESTAMP '1950-01-01' + to_microseconds(${draw(seed, 21, 2 ** 50)})`,
  TIMESTAMP_NS: (seed) => `make_timestamp_ns(${draw(seed, 22, 2 ** 60)})`,
  'TIMESTAMP WITH TIME ZONE': (seed) => `to_timestamp(${draw(seed, 23, 2 ** 32)})`,
  INTERVAL: (seed) => `to_months((${draw(seed, 24, 99)})::INTEGER) + to_microseconds(${draw(seed, 25, 2 ** 50)})`,
  "ENUM('red', 'green', 'it''s blue')": (seed) => `['red', 'green', 'it''s blue'][1 + ${draw(seed, 26, 3)}]`,
};

/** By what does not lie in a list: DuckDB has no CASE of arrays. */
const orNull = (seed: string, sql: string, value: string): string =>
  `[CAST(${value} AS ${sql})][CASE ${draw(seed, 0, 4)} WHEN 0 THEN 2 ELSE 1 END]`;

const scalar = fc.constantFrom(...Object.entries(scalars)).map(([sql, value]): RandomType => ({
  sql,
  value: (seed) => orNull(seed, sql, value(seed)),
}));

let lambdas = 0;
const items = (seed: string, item: (seed: string) => string, count: string): string => {
  const each = `x${lambdas++}`;
  return `list_transform(range(${count}), lambda ${each}: ${item(`(${seed} * 31 + ${each})`)})`;
};

const list = (child: RandomType): RandomType => {
  const sql = `${child.sql}[]`;
  return { sql, value: (seed) => orNull(seed, sql, items(seed, child.value, draw(seed, 30, 5))) };
};
const array = (child: RandomType): RandomType => {
  const sql = `${child.sql}[3]`;
  return { sql, value: (seed) => orNull(seed, sql, items(seed, child.value, '3')) };
};
const struct = (children: readonly RandomType[]): RandomType => {
  const sql = `STRUCT(${children.map((child, index) => `"field ${index}" ${child.sql}`).join(', ')})`;
  const value = (seed: string) =>
    `{${children.map((child, index) => `'field ${index}': ${child.value(`(${seed} + ${index * 1001})`)}`).join(', ')}}`;
  return { sql, value: (seed) => orNull(seed, sql, value(seed)) };
};
const map = (child: RandomType): RandomType => {
  const sql = `MAP(VARCHAR, ${child.sql})`;
  const keys = (seed: string, count: string) => items(seed, (key) => `'key ' || ${key}`, count);
  return {
    sql,
    value(seed) {
      const count = draw(seed, 31, 4);
      return orNull(seed, sql, `map(${keys(seed, count)}, ${items(seed, child.value, count)})`);
    },
  };
};
const union = (left: RandomType, right: RandomType): RandomType => {
  const sql = `UNION(one ${left.sql}, two ${right.sql})`;
  const member = (name: string, value: string) => `CAST(union_value("${name}" := ${value}) AS ${sql})`;
  return {
    sql,
    value: (seed) =>
      `[${member('one', left.value(seed))}, ${member('two', right.value(seed))}][1 + ${draw(seed, 32, 2)}]`,
  };
};

/** Scalars, and what is made of them, up to three levels deep. */
export const randomType: fc.Arbitrary<RandomType> = fc.letrec<{ type: RandomType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    scalar,
    tie('type').map(list),
    tie('type').map(array),
    fc.array(tie('type'), { minLength: 1, maxLength: 3 }).map(struct),
    tie('type').map(map),
    fc.tuple(tie('type'), tie('type')).map(([left, right]) => union(left, right)),
  ),
})).type;
