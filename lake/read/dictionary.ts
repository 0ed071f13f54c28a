import { batchFrame, type Frame } from './batch.js';
import { hold, usedTill } from './library.js';
import type { EnumDictionary } from './type-row.js';

/** The message with the values that the codes of an enum stand for. */
export function dictionaryFrame({ id, values }: EnumDictionary): Frame {
  const texts = values.map((value) => Buffer.from(value));
  const data = hold(texts.reduce((sum, text) => sum + text.length, 0));
  const offsets = hold(4 * (values.length + 1));
  let end = 0;
  texts.forEach((text, index) => {
    data.buffer.set(text, end);
    end += text.length;
    offsets.buffer.writeInt32LE(end, 4 * (index + 1));
  });
  const place = { validity: 0, offsets: offsets.address, data: data.address, children: [] };
  const plan = [{ name: 'dictionary', layout: { kind: 'text' }, converted: true }] as const;
  const frame = batchFrame(plan, [{ columns: [place], start: 0, rows: values.length }], undefined, { dictionary: id });
  usedTill(data, offsets);
  return frame;
}
