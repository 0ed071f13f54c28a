import fc from 'fast-check';
import { Admission } from '../../apps/flight/admission.js';

const never = new AbortController().signal;
const limits = { openMax: 2, waitingMax: 3, waitMaxMs: 60_000 };
const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'entered',
    (error: { code?: string }) => error.code,
  );

test('those who wait are let in in the order in which they came, one for each who leaves', async () => {
  const admission = new Admission(limits);
  const [first, second] = [await admission.enter(never), await admission.enter(never)];
  const entered: number[] = [];
  const waiting = [1, 2, 3].map(async (number) => {
    const leave = await admission.enter(never);
    entered.push(number);
    return leave;
  });
  expect([admission.open, admission.waiting]).toEqual([2, 3]);
  first();
  first(); // Twice is once.
  await waiting[0];
  expect([entered, admission.open, admission.waiting]).toEqual([[1], 2, 2]);
  second();
  (await waiting[0])?.();
  await Promise.all(waiting);
  expect(entered).toEqual([1, 2, 3]);
  for (const leave of await Promise.all(waiting)) leave();
  expect([admission.open, admission.waiting]).toEqual([0, 0]);
});

test('who finds the queue full is refused at once, and says how many there are', async () => {
  const admission = new Admission({ ...limits, waitingMax: 0 });
  await admission.enter(never);
  await admission.enter(never);
  await expect(admission.enter(never)).rejects.toMatchObject({
    code: 'streams_exhausted',
    message: '2 streams are open and 0 wait, which is the limit.',
  });
});

test('who has waited long enough is refused, and who leaves makes room behind', async () => {
  const admission = new Admission({ ...limits, waitMaxMs: 1 });
  const leave = await admission.enter(never);
  await admission.enter(never);
  await expect(admission.enter(never)).rejects.toMatchObject({
    code: 'streams_exhausted',
    message: '2 streams are open, and none ended in 0.001 seconds.',
  });
  const patient = new Admission(limits);
  await patient.enter(never);
  const second = await patient.enter(never);
  const left = new AbortController();
  const leaving = code(patient.enter(left.signal));
  const behind = code(patient.enter(never));
  left.abort();
  expect(await leaving).toBe('cancelled');
  second();
  expect(await behind).toBe('entered');
  expect(await code(patient.enter(AbortSignal.abort()))).toBe('cancelled');
  expect([patient.open, patient.waiting]).toEqual([2, 0]);
  leave();
  expect(admission.open).toBe(1);
});

test('whatever comes and goes, no more are in than may be, and all places come back', async () => {
  const steps = fc.array(fc.constantFrom('enter', 'leave', 'abort'), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 4 }), async (all, openMax, waitingMax) => {
      const admission = new Admission({ openMax, waitingMax, waitMaxMs: 60_000 });
      const inside: (() => void)[] = [];
      const aborts: AbortController[] = [];
      for (const step of all) {
        if (step === 'enter') {
          const abort = new AbortController();
          aborts.push(abort);
          admission.enter(abort.signal).then((leave) => inside.push(leave), () => undefined);
        } else if (step === 'leave') inside.shift()?.();
        else aborts.shift()?.abort();
        await Promise.resolve().then(() => undefined).then(() => undefined);
        expect(admission.open).toBeLessThanOrEqual(openMax);
        expect(admission.waiting).toBeLessThanOrEqual(waitingMax);
        expect(admission.waiting > 0 && admission.open < openMax).toBe(false);
      }
      for (const abort of aborts) abort.abort();
      await new Promise(setImmediate);
      for (const leave of inside) leave();
      expect([admission.open, admission.waiting]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
}); // prettier-ignore
