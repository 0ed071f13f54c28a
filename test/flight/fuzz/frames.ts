import { mutated } from './mutate.js';
import { oddNumber, type Random } from './random.js';

const prefixBytes = 5;

/** As gRPC frames a message: not compressed, and its length. */
export function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Frames whose prefix or end is not what it should be, whole ones cut anywhere, and such as are in order. */
export function brokenFrames(random: Random, messages: readonly Buffer[]): Buffer[] {
  const frames = messages.map(framed);
  const all = Buffer.concat(frames);
  return random.pick<() => Buffer[]>([
    () => frames,
    () => [all.subarray(0, random.below(all.length + 1))],
    () => [mutated(random, all)],
    () => [random.bytes(random.below(60))],
    () => [],
    () => frames.map((frame) => withPrefix(frame, 1, frame.length - prefixBytes)),
    () => frames.map((frame) => withPrefix(frame, random.below(256), frame.length - prefixBytes)),
    () => frames.map((frame) => withPrefix(frame, 0, Math.abs(oddNumber(random)) % 2 ** 32)),
    () => [...frames, random.bytes(3)],
    () => Array.from({ length: Math.min(all.length, 300) }, (_, at) => all.subarray(at, at + 1)),
  ])();
}

function withPrefix(frame: Buffer, compressed: number, length: number): Buffer {
  const changed = Buffer.from(frame);
  if (changed.length < prefixBytes) return changed;
  changed[0] = compressed;
  changed.writeUInt32BE(length >>> 0, 1);
  return changed;
}
