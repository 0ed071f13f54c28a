/** Bytes before the FlightData message: gRPC's flag and length. */
const prefixBytes = 5;

/** Header and body of the FlightData message in a gRPC frame of ours. */
export function framedMessage(frame: Buffer): { header: Buffer; body: Buffer } {
  let [header, body] = [Buffer.alloc(0), Buffer.alloc(0)];
  for (let at = prefixBytes; at < frame.length;) {
    const [tag, valueAt] = varint(frame, at);
    const [bytes, contentAt] = varint(frame, valueAt);
    const content = Buffer.from(frame.subarray(contentAt, contentAt + bytes));
    if (tag === dataHeaderTag) header = content;
    if (tag === dataBodyTag) body = content;
    at = contentAt + bytes;
  }
  return { header, body };
}

/** Field numbers 2 and 1000 with the wire type of bytes. */
const dataHeaderTag = (2 << 3) | 2;
const dataBodyTag = (1000 << 3) | 2;

function varint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] as number;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}
