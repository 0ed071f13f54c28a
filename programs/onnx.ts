/** As much of ONNX's protobuf as tells a model from garbage and names its inputs and outputs; loading it says the rest. */

export interface OnnxOutline {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Field numbers of upstream onnx.proto. */
const modelProto = { irVersion: 1, graph: 7, opsetImport: 8 } as const;
const graphProto = { node: 1, initializer: 5, input: 11, output: 12 } as const;
const valueInfoProto = { name: 1 } as const;
const tensorProto = { name: 8 } as const;

interface Field {
  readonly number: number;
  /** Null for numbers. */
  readonly bytes: Buffer | null;
}

/** Throws an Error that says what is wrong; inputs that the model itself fills (initializers) are left out. */
export function onnxOutline(data: Buffer): OnnxOutline {
  const model = [...fields(data)];
  const has = (number: number) => model.some((field) => field.number === number);
  const graph = model.findLast(({ number, bytes }) => number === modelProto.graph && bytes !== null)?.bytes;
  if (!has(modelProto.irVersion) || !has(modelProto.opsetImport) || !graph) throw new Error('it is not an ONNX model');
  const parts = [...fields(graph)];
  if (!parts.some(({ number }) => number === graphProto.node)) throw new Error('its graph has no nodes');
  const names = (part: number, nameField: number) =>
    parts.filter(({ number }) => number === part).map(({ bytes }) => nameOf(bytes, nameField));
  const filled = new Set(names(graphProto.initializer, tensorProto.name));
  return {
    inputs: names(graphProto.input, valueInfoProto.name).filter((name) => !filled.has(name)),
    outputs: names(graphProto.output, valueInfoProto.name),
  };
}

function nameOf(message: Buffer | null, nameField: number): string {
  const found = message && [...fields(message)].find(({ number }) => number === nameField)?.bytes;
  return found ? found.toString('utf8') : '';
}

function* fields(data: Buffer): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1, digits = 0; digits < 10; digits++, factor *= 128) {
      const byte = data[at++];
      if (byte === undefined) throw new Error('it ends in the middle of a field');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new Error('it is not protobuf');
  };
  const skip = (length: number): Buffer => {
    if (length > data.length - at) throw new Error('it ends in the middle of a field');
    at += length;
    return data.subarray(at - length, at);
  };
  while (at < data.length) {
    const tag = varint();
    const [number, wireType] = [Math.floor(tag / 8), tag % 8];
    if (number === 0) throw new Error('it is not protobuf');
    if (wireType === 0) yield (varint(), { number, bytes: null });
    else if (wireType === 1) yield (skip(8), { number, bytes: null });
    else if (wireType === 2) yield { number, bytes: skip(varint()) };
    else if (wireType === 5) yield (skip(4), { number, bytes: null });
    else throw new Error('it is not protobuf');
  }
}
