import type { InferenceLogRow } from '../../domain/serving.js';
import { anonymous } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { claimKey, keepClaim, recordAnswer, releaseKey, type KeyClaim } from '../../store/idempotency.js';
import { readInferenceLog } from '../../store/inference.js';
import { labelsAsOf, putLabels } from '../../store/labels.js';
import { drainOne } from '../../store/outbox.js';
import { serving } from '../../store/serving.js';
import { withDatabase } from '../support/database.js';
import { race } from '../support/race.js';
import { day, project } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

describe('idempotency keys', () => {
  const ask = (fingerprint = 'body') => claimKey(db, project, 'key', fingerprint);
  const claim = async (fingerprint?: string): Promise<KeyClaim> => {
    const claimed = await ask(fingerprint);
    if ('status' in claimed) throw new Error('The key is answered.');
    return claimed;
  };
  const later = (seconds: number) =>
    db.query('UPDATE idempotency_keys SET claimed_at = claimed_at - make_interval(secs => $1)', [seconds]);

  test('of eight equal requests at once one runs, the others are told that it does', async () => {
    const { values, codes } = await race(8, () => claim());
    expect(values).toHaveLength(1);
    expect(codes).toEqual(Array.from({ length: 7 }, () => 'idempotency_key_running'));
  });

  test('a repeat gets the recorded answer, byte for byte', async () => {
    await recordAnswer(db, await claim(), { status: 201, response: { run: 'r', list: [1, null] } });
    expect(await ask()).toEqual({ status: 201, response: { run: 'r', list: [1, null] } });
    expect(await ask()).toEqual({ status: 201, response: { run: 'r', list: [1, null] } });
  });

  test('another request under the key is refused, answered or not', async () => {
    const first = await claim();
    await expect(ask('other')).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    await recordAnswer(db, first, { status: 204, response: undefined });
    await expect(ask('other')).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    expect(await ask()).toEqual({ status: 204, response: null });
  });

  test('a request that failed gives its key back, an answered one keeps it', async () => {
    await releaseKey(db, await claim());
    const other = await claim('other');
    await recordAnswer(db, other, { status: 200, response: 1 });
    await releaseKey(db, other);
    expect(await ask('other')).toEqual({ status: 200, response: 1 });
  });

  test('a request that died unanswered is run again after fifteen seconds, not before', async () => {
    await claim();
    await later(13);
    await expect(ask()).rejects.toMatchObject({ code: 'idempotency_key_running' });
    await later(3);
    const { values, codes } = await race(4, () => claim());
    expect([values.length, codes.length]).toEqual([1, 3]);
  });

  test('a claim that is kept is never taken over', async () => {
    const first = await claim();
    for (let beat = 0; beat < 3; beat++) {
      await later(14);
      await keepClaim(db, first);
      await expect(ask()).rejects.toMatchObject({ code: 'idempotency_key_running' });
    }
  });

  test('a request whose claim was taken over records, keeps and releases nothing', async () => {
    const first = await claim();
    await later(16);
    const second = await claim();
    await recordAnswer(db, first, { status: 500, response: 'late' });
    await releaseKey(db, first);
    await later(16);
    await keepClaim(db, first);
    const third = await claim();
    expect(new Set([first, second, third].map(({ token }) => token)).size).toBe(3);
    await recordAnswer(db, third, { status: 201, response: 'done' });
    expect(await ask()).toEqual({ status: 201, response: 'done' });
  });

  test('a key that is given back while others ask is claimed by one at a time', async () => {
    let running = 0;
    const request = async () => {
      const claimed = await claim();
      expect(++running).toBe(1);
      running--;
      await releaseKey(db, claimed);
    };
    for (let round = 0; round < 20; round++) {
      const { codes } = await race(6, request);
      expect(codes.filter((code) => code !== 'idempotency_key_running')).toEqual([]);
    }
  });
});

describe('the outbox', () => {
  const put = (monitor: string) =>
    db.query('INSERT INTO outbox (project, topic, payload) VALUES ($1, $2, $3)', [
      project,
      'monitor_changed',
      JSON.stringify({ monitor }),
    ]);

  test('two who drain it handle each message once, oldest first', async () => {
    for (let at = 0; at < 20; at++) await put(String(at));
    const handled: string[] = [];
    const drain = async () => {
      while (await drainOne(db, async ({ payload }) => void handled.push(payload.monitor ?? '')));
    };
    await Promise.all([drain(), drain()]);
    expect(handled.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });

  test('a message whose handling failed is handled again', async () => {
    await put('one');
    await expect(drainOne(db, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const again: unknown[] = [];
    expect(await drainOne(db, async ({ payload }) => void again.push(payload))).toBe(true);
    expect(again).toEqual([{ monitor: 'one' }]);
    expect(await drainOne(db, async () => undefined)).toBe(false);
  });
});

describe('labels and the inference log', () => {
  const lateness = { model: 'lateness' };
  const put = (...labels: [number, boolean, number][]) =>
    putLabels(
      db,
      project,
      lateness,
      labels.map(([id, label, known]) => ({ key: { flight_id: id }, label, knownAt: day(known) })),
      anonymous,
    );
  const known = async (by: number) =>
    (await labelsAsOf(db, project, lateness, { asOf: day(by) })).map(({ key, label, knownAt }) => [key.flight_id, label, knownAt]); // prettier-ignore

  test('of a key’s labels the newest that was known by then counts, in whatever order they came', async () => {
    await put([1, true, 1], [2, false, 3], [2, true, 2]);
    await put([1, false, 4]);
    expect(await known(1)).toEqual([[1, true, day(1)]]);
    expect(await known(2)).toEqual([[1, true, day(1)], [2, true, day(2)]]); // prettier-ignore
    expect(await known(9)).toEqual([[1, false, day(4)], [2, false, day(3)]]); // prettier-ignore
    expect(await labelsAsOf(db, project, { model: 'other' }, { asOf: day(9) })).toEqual([]);
  });

  test('a label of the same known-at takes the place of the one before, within an upload too', async () => {
    await put([1, true, 1], [1, false, 1]);
    expect(await known(1)).toEqual([[1, false, day(1)]]);
    await put([1, true, 1]);
    expect(await known(1)).toEqual([[1, true, day(1)]]);
  });

  test('labels are never cut: too many are an error', async () => {
    await put([1, true, 1], [2, true, 1], [3, true, 2]);
    expect(await labelsAsOf(db, project, lateness, { asOf: day(1) }, 2)).toHaveLength(2);
    await expect(labelsAsOf(db, project, lateness, { asOf: day(2) }, 2)).rejects.toMatchObject({
      code: 'request_too_large',
    });
  });

  const row = (rowIndex: number, output: number, number = 1): InferenceLogRow => ({
    ...{ project, endpoint: 'lateness', version: 1, requestId: 'request', rowIndex },
    ...{ eventTime: day(number), loggedAt: day(number + 1), inputs: [1.5, null], output, key: { flight_id: rowIndex } },
  });
  const window = { start: day(1), end: day(3) };

  test.each([0.25, NaN, Infinity, -Infinity])('an answer of %d is logged as it was given', async (output) => {
    await serving(db).appendLog([row(0, output)]);
    expect(await readInferenceLog(db, project, 'lateness', window, 10)).toEqual([row(0, output)]);
  });

  test('a row is logged once, and read page by page within a half-open window', async () => {
    const rows = [row(0, 0.1), row(1, 0.2), row(2, 0.3, 2), row(3, 0.4, 3)];
    await serving(db).appendLog(rows);
    await serving(db).appendLog(rows);
    const first = await readInferenceLog(db, project, 'lateness', window, 2);
    expect(first).toEqual(rows.slice(0, 2));
    expect(await readInferenceLog(db, project, 'lateness', window, 2, first[1])).toEqual([rows[2]]);
  });
});
