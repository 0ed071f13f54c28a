import { oddNumber, oddText, type Random } from './random.js';

type Mutation = (random: Random, bytes: Buffer) => Buffer;

/** Bytes as they break, or as somebody would break them. */
const mutations: readonly Mutation[] = [
  function flipped(random, bytes) {
    const changed = Buffer.from(bytes);
    for (let flips = 1 + random.below(3); flips > 0 && changed.length > 0; flips--) {
      const at = random.below(changed.length);
      changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
    }
    return changed;
  },
  (random, bytes) => bytes.subarray(0, random.below(bytes.length + 1)),
  (random, bytes) => bytes.subarray(random.below(bytes.length + 1)),
  (random, bytes) => Buffer.concat([bytes, random.bytes(1 + random.below(64))]),
  function withinDoubled(random, bytes) {
    const [from, length] = [random.below(bytes.length + 1), 1 + random.below(64)];
    return Buffer.concat([bytes.subarray(0, from + length), bytes.subarray(from)]);
  },
  function withoutMiddle(random, bytes) {
    const from = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + random.below(32))]);
  },
  function overwritten(random, bytes) {
    const changed = Buffer.from(bytes);
    const from = random.below(bytes.length + 1);
    changed.fill(random.pick([0, 255, 0x80, 0x7f]), from, Math.min(bytes.length, from + 1 + random.below(16)));
    return changed;
  },
  // Lengths, offsets and counts lie at multiples of four.
  function withWord(random, bytes) {
    if (bytes.length < 8) return bytes;
    const changed = Buffer.from(bytes);
    const at = 4 * random.below(Math.floor(bytes.length / 4));
    const value = BigInt(oddNumber(random));
    if (random.percent(50) || at + 8 > bytes.length) changed.writeInt32LE(Number(BigInt.asIntN(32, value)), at);
    else changed.writeBigInt64LE(BigInt.asIntN(64, value), at);
    return changed;
  },
];

export const mutated: Mutation = (random, bytes) => random.pick(mutations)(random, bytes);

/** One place or a few of a JSON value are something else, are missing, or are there twice. */
export function mutatedJson(random: Random, value: unknown, depth = 0): unknown {
  if (random.percent(depth === 0 ? 3 : 20) || typeof value !== 'object' || value === null) return oddValue(random);
  if (Array.isArray(value)) {
    const items: unknown[] = [...(value as unknown[])];
    if (items.length === 0 || random.percent(20)) return [...items, ...items, oddValue(random)];
    const at = random.below(items.length);
    return items.with(at, mutatedJson(random, items[at], depth + 1));
  }
  const entries = Object.entries(value);
  if (entries.length === 0 || random.percent(10)) return { ...value, [oddText(random)]: oddValue(random) };
  const [name, member] = random.pick(entries);
  if (random.percent(15)) return Object.fromEntries(entries.filter(([other]) => other !== name));
  return { ...value, [name]: mutatedJson(random, member, depth + 1) };
}

function oddValue(random: Random): unknown {
  return random.pick<() => unknown>([
    () => oddText(random),
    () => oddNumber(random),
    () => null,
    () => random.percent(50),
    () => [],
    () => ({}),
    () => nested(1 + random.below(2_000)),
    () => Array.from({ length: random.below(1_500) }, () => oddText(random)),
    () => [[{ a: oddText(random) }]],
  ])();
}

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}
