import { DomainError } from '../../domain/errors.js';
import type { OnlineValue } from '../../domain/online.js';
import { answerBytesOf, statusesOf, writeValues, type OnlineRead } from './online-answer.js';
import { JsonBytes, SharedBytes } from './online-bytes.js';

/** The JSON of an answer, an `OnlineAnswer`. */
export function answerBytes({ columns, generations }: OnlineRead): Buffer {
  const json = new JsonBytes(answerBytesOf(columns));
  const shared = new SharedBytes();
  json.text('{"columns":[');
  columns.forEach((column, at) => {
    const { ref, type, view } = column;
    json.text(`${at > 0 ? ',' : ''}{"ref":${JSON.stringify(ref)},"type":${JSON.stringify(type)},"values":[`);
    writeValues(json, column, copyValue);
    const statuses = statusesOf(column);
    json.text('],"statuses":').all(shared.of(statuses, () => JSON.stringify(statuses)));
    json.text(',"eventTimes":').all(shared.of(view, () => JSON.stringify(view.entities.map((one) => one.eventTime))));
    json.byte(closingBrace);
  });
  return json.text(`],"generations":${JSON.stringify(generations)}}`).bytes();
}

const closingBrace = 0x7d;
const copyValue = (json: JsonBytes, bytes: Buffer, start: number, end: number): void =>
  void json.copy(bytes, start, end);

/** Rows as columns; they must all have the same. */
export function columnsOfRows(rows: readonly Readonly<Record<string, OnlineValue>>[]): Record<string, OnlineValue[]> {
  const names = Object.keys(rows[0] ?? {});
  const other = rows.findIndex(
    (row) => Object.keys(row).length !== names.length || names.some((name) => !(name in row)),
  );
  if (other >= 0)
    throw new DomainError('request_invalid', `rows.${other} must have the columns ${names.join(', ') || 'of the first row'}, as the first row has.`, { row: other }); // prettier-ignore
  return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name] as OnlineValue)]));
}
