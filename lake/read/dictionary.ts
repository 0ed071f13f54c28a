import { batchFrame, type Frame } from './batch.js';
import { addressOf } from './library.js';
import type { EnumDictionary } from './type-row.js';

/** The message with the values that the codes of an enum stand for. */
export function dictionaryFrame({ id, values }: EnumDictionary): Frame {
  const texts = values.map((value) => Buffer.from(value));
  const data = Buffer.alloc(Math.max(1, texts.reduce((sum, text) => sum + text.length, 0))); // prettier-ignore
  const offsets = Buffer.alloc(4 * (values.length + 1));
  let end = 0;
  texts.forEach((text, index) => {
    data.set(text, end);
    end += text.length;
    offsets.writeInt32LE(end, 4 * (index + 1));
  });
  const place = { validity: 0, offsets: addressOf(offsets), data: addressOf(data), children: [] };
  const plan = [{ name: 'dictionary', layout: { kind: 'text' }, converted: true }] as const;
  return batchFrame(plan, [{ columns: [place], start: 0, rows: values.length }], undefined, { dictionary: id });
}
