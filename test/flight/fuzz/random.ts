/** What a case is made of: the same seed and number make the same case, alone or among others. */
export interface Random {
  /** A whole number from 0 to below the limit. */
  below(limit: number): number;
  /** True so often of a hundred times. */
  percent(share: number): boolean;
  pick<One>(ones: readonly One[]): One;
  bytes(length: number): Buffer;
}

/** mulberry32. */
export function randomOf(seed: number, number: number): Random {
  let state = Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => next() % limit;
  return {
    below,
    percent: (share) => below(100) < share,
    pick: (ones) => ones[below(ones.length)] as (typeof ones)[number],
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
  };
}

const odd = [
  '', ' ', '.', '..', '../../etc/passwd', '\0', 'a\0b', '\n', '%', '%_%'.repeat(20), '\\', "'", '"', "' OR 1=1 --", '-', 'a-b', '{', '[', '{{}}',
  'x'.repeat(5_000), '🦆', '🦆'.repeat(600), 'é', 'e\u0301', '\u202e', '\ufeff', '\ud83e', 'İ', 'ß', '0', '-1', '1e400', 'NaN', 'null', 'true',
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'eider', 'features', 'datasets', 'inference', 'spines', 'known', 'price',
  'known@s1', 'known@s999999999999999999999', 'known@r0', 'known@r-1', '@', '@s1', 'price@r1@s1', 'file:///etc/passwd', '${PATH}', '$1', '?',
]; // prettier-ignore

export const oddText = (random: Random): string =>
  random.percent(80)
    ? random.pick(odd)
    : random.bytes(random.below(40)).toString(random.pick(['latin1', 'utf8', 'hex']));

const edges = [
  0, 1, -1, 2, 7, 8, 64, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31 - 1, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, -(2 ** 53), 2 ** 53,
]; // prettier-ignore
export const oddNumber = (random: Random): number => random.pick(edges);
