import { Signature } from '../../domain/serving.js';
import { checkGolden } from '../../models/golden.js';
import { createModels, predictRows } from '../../models/onnx.js';
import type { LoadedModel, Models, Rows } from '../../models/onnx.js';
import { goldenOf, modelFile, riskOf, riskSignature, sha256Of } from './fixtures/risk.js';

let models: Models;
beforeAll(() => {
  models = createModels({ workers: 2 });
});
afterAll(() => models.close());

const load = (name: string): Promise<LoadedModel> => models.load(modelFile(name), sha256Of(name), riskSignature);
const matrix = (rows: (number | null)[][]): Rows => ({
  rows: rows.length,
  columns: 3,
  data: Float32Array.from(rows.flat().map((value) => value ?? NaN)),
});

test('a loaded model tells the tensors of its file', async () => {
  const model = await load('risk');
  expect(model.inputs).toEqual([{ name: 'input', datatype: 'FP32', shape: [-1, 3] }]);
  expect(model.outputs).toEqual([{ name: 'prediction', datatype: 'FP32', shape: [-1] }]);
});

test('a run answers one prediction a row, a missing value being NaN', async () => {
  const rows = [[1, 2, 3], [0.1, -4, 2.5], [null, 1, null]]; // prettier-ignore
  const predictions = await models.run(await load('risk'), matrix(rows));
  expect(predictions).toHaveLength(3);
  rows.forEach((row, index) => expect(predictions[index]).toBeCloseTo(riskOf('risk', row), 6));
});

test('no rows are answered with no predictions', async () => {
  expect(await models.run(await load('risk'), matrix([]))).toHaveLength(0);
});

test('a view of a larger buffer is copied, so its neighbours keep their memory', async () => {
  const pool = new Float32Array([9, 9, 9, 1, 2, 3, 9, 9, 9]);
  const predictions = await models.run(await load('risk'), { rows: 1, columns: 3, data: pool.subarray(3, 6) });
  expect(predictions[0]).toBeCloseTo(riskOf('risk', [1, 2, 3]), 6);
  expect([...pool]).toEqual([9, 9, 9, 1, 2, 3, 9, 9, 9]);
});

test('a matrix of the wrong size is refused', async () => {
  const model = await load('risk');
  const data = new Float32Array(4);
  await expect(models.run(model, { rows: 2, columns: 2, data })).rejects.toMatchObject({ code: 'request_invalid' });
  await expect(models.run(model, { rows: 2, columns: 3, data })).rejects.toMatchObject({ code: 'request_invalid' });
});

test.each([
  ['of two columns', 'two-columns', /input is input FP32\[-1,2\] in the file, input FP32\[-1,3\] in the signature/],
  ['that answers doubles', 'double-output', /prediction FP64\[-1\] in the file/],
  ['of an operator set from the future', 'future-opset', /opset/i],
  ['that was cut off', 'truncated', /pars|protobuf|load/i],
])('a model %s is invalid, and the message says why', async (_, name, reason) => {
  await expect(load(name)).rejects.toMatchObject({ code: 'model_invalid', message: expect.stringMatching(reason) });
});

test('a model without the declared names is invalid, with every difference named', async () => {
  const signature = Signature.parse({
    inputs: [{ name: 'rows', datatype: 'FP32', shape: [-1, 3], columns: ['a', 'b', 'c'] }],
    outputs: [{ name: 'score', datatype: 'FP32', shape: [-1] }],
  });
  await expect(models.load(modelFile('risk'), sha256Of('risk'), signature)).rejects.toMatchObject({
    code: 'model_invalid',
    data: {
      problems: [/no input "rows"/, /undeclared input/, /no output "score"/].map((part) => expect.stringMatching(part)),
    },
  });
});

test('a file of another hash is corrupt, and a file that is not there is missing', async () => {
  const load = (path: string) => models.load(path, sha256Of('risk2'), riskSignature);
  await expect(load(modelFile('risk'))).rejects.toMatchObject({ code: 'object_corrupt' });
  await expect(load('/nowhere/model.onnx')).rejects.toMatchObject({ code: 'object_missing' });
});

test('an unloaded model answers no more, while the others do', async () => {
  const [gone, kept] = [await load('risk'), await load('risk2')];
  await models.unload(gone);
  await expect(models.run(gone, matrix([[1, 2, 3]]))).rejects.toMatchObject({ code: 'model_invalid' });
  expect((await models.run(kept, matrix([[1, 2, 3]])))[0]).toBeCloseTo(riskOf('risk2', [1, 2, 3]), 6);
});

test('golden rows pass within the tolerance', async () => {
  const { rows, differenceMax } = await checkGolden(models, await load('risk'), goldenOf('risk'));
  expect(rows).toBe(4);
  expect(differenceMax).toBeLessThan(1e-6);
});

test('golden rows of another model differ, and the worst row is named with both values', async () => {
  const worst = { row: 0, expected: expect.any(String), found: expect.any(String), inputs: [1, 2, 3] };
  await expect(checkGolden(models, await load('risk'), goldenOf('risk2'))).rejects.toMatchObject({
    code: 'golden_rows_differ',
    data: worst,
  });
});

test('a golden prediction that is missing differs from any number', async () => {
  const golden = { inputs: [[1, 2, 3]], predictions: [NaN], tolerance: 1 };
  await expect(checkGolden(models, await load('risk'), golden)).rejects.toMatchObject({ code: 'golden_rows_differ' });
});

test('batches are scored in order, and no more of them are asked for than threads work on', async () => {
  const model = await load('risk');
  let [asked, answered, aheadMax] = [0, 0, 0];
  function* batches(): Generator<Rows> {
    for (let batch = 0; batch < 40; batch++) {
      aheadMax = Math.max(aheadMax, ++asked - answered);
      yield matrix([[batch / 10, 0, 0]]);
    }
  }
  for await (const predictions of predictRows(models, model, batches())) {
    expect(predictions[0]).toBeCloseTo(riskOf('risk', [answered++ / 10, 0, 0]), 6);
  }
  expect(answered).toBe(40);
  expect(aheadMax).toBeLessThanOrEqual(models.workers + 1);
});

test.each([
  ['a column that the shape does not count', { shape: [-1, 2] }],
  ['another datatype', { datatype: 'INT64' }],
  ['a fixed number of rows', { shape: [1, 3] }],
])('a signature with %s is refused', (_, change) => {
  const [input] = riskSignature.inputs;
  expect(Signature.safeParse(riskSignature).success).toBe(true);
  expect(Signature.safeParse({ ...riskSignature, inputs: [{ ...input, ...change }] }).success).toBe(false);
});
