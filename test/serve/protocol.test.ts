import { gzipSync } from 'node:zlib';
import { riskOf } from '../models/fixtures/risk.js';
import type { Serving } from '../../apps/serve/start.js';
import { http, oneRow, startWorld, untilReady } from './world.js';
import type { World } from './world.js';

const row = [1, 2, 3];
let world: World;
let at: Serving;
beforeAll(async () => {
  world = await startWorld();
  at = await world.serve({ limits: { bodyBytesMax: 20_000, rowsMax: 100 } });
  await untilReady(at);
  await world.register('risk');
  await world.deploy(1, at);
});
afterAll(() => world.stop());

const input = (change: object = {}) => ({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 3], data: row, ...change }],
});
const infer = (body: object | string | Buffer, headers?: Record<string, string>) =>
  http(at, 'POST', '/v2/models/risk/infer', body, { headers });

const metadata = {
  name: 'risk',
  versions: ['1'],
  platform: 'onnxruntime_onnx',
  inputs: [
    { name: 'input', datatype: 'FP32', shape: [-1, 3], parameters: { columns: ['distance', 'hour', 'late_rate'] } },
  ],
  outputs: [{ name: 'prediction', datatype: 'FP32', shape: [-1] }],
};

test.each([
  ['/v2', 200, { name: 'eider', version: '0.0.0', extensions: ['binary_tensor_data'] }],
  ['/v2/health/live', 200, { live: true }],
  ['/v2/health/ready', 200, { ready: true }],
  ['/v2/models/risk', 200, metadata],
  ['/v2/models/risk/versions/1', 200, metadata],
  ['/v2/models/risk/ready', 200, { name: 'risk', ready: true }],
  ['/v2/models/risk/versions/1/ready', 200, { name: 'risk', ready: true }],
  ['/v2/models/none', 404, { code: 'endpoint_not_serving' }],
  ['/v2/models/none/ready', 404, { code: 'endpoint_not_serving' }],
  ['/v2/models/risk/versions/7', 404, { code: 'version_unknown' }],
  ['/v2/models/risk/versions/7/ready', 404, { code: 'version_unknown' }],
  ['/v2/models/risk/versions/first', 404, { code: 'version_unknown' }],
  ['/projects/eider/v2', 200, { name: 'eider' }],
  ['/projects/eider/v2/models/risk', 200, metadata],
  ['/projects/other/v2/models/risk', 404, { code: 'endpoint_not_serving' }],
  ['/healthz', 200, { live: true }],
  ['/readyz', 200, { ready: true }],
  ['/v3', 404, { code: 'route_unknown' }],
])('GET %s answers %i', async (path, status, json) => {
  const answer = await http(at, 'GET', path);
  expect(answer.status).toBe(status);
  expect(answer.json).toMatchObject(json);
  if (status >= 400) expect(answer.json).toMatchObject({ error: expect.any(String), help: expect.any(String) });
});

test.each(['/v2/models/risk', '/v2/models/risk/versions/1', '/projects/eider/v2/models/risk'])(
  'POST %s/infer answers in the protocol’s shape',
  async (path) => {
    const { status, json } = await http(at, 'POST', `${path}/infer`, oneRow(row, { id: 'mine' }));
    expect(status).toBe(200);
    expect(json).toMatchObject({ model_name: 'risk', model_version: '1', id: 'mine' });
    expect(json.outputs).toEqual([{ name: 'prediction', datatype: 'FP32', shape: [1], data: [expect.any(Number)] }]);
    expect(json.outputs[0].data[0]).toBeCloseTo(riskOf('risk', row), 6);
  },
);

test('an answer has an id even when the request had none', async () => {
  const { json } = await infer(oneRow(row));
  expect(json.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(json.id).toBe(json.parameters.request_id);
});

test.each([
  ['nested', { shape: [2, 3], data: [row, [4, 5, 6]] }],
  ['flat', { shape: [2, 3], data: [...row, 4, 5, 6] }],
  ['FP64', { shape: [2, 3], datatype: 'FP64', data: [...row, 4, 5, 6] }],
  ['INT64', { shape: [2, 3], datatype: 'INT64', data: [...row, 4, 5, 6] }],
  ['INT32', { shape: [2, 3], datatype: 'INT32', data: [row, [4, 5, 6]] }],
])('%s data of two rows gets two predictions', async (_, change) => {
  const { status, json } = await infer(input(change));
  expect(status).toBe(200);
  expect(json.outputs[0].shape).toEqual([2]);
  expect(json.outputs[0].data[1]).toBeCloseTo(riskOf('risk', [4, 5, 6]), 6);
});

test('null is a missing value', async () => {
  const { json } = await infer(oneRow([null, 2, 3]));
  expect(json.outputs[0].data[0]).toBeCloseTo(riskOf('risk', [null, 2, 3]), 6);
});

test.each<[string, object | string, RegExp]>([
  ['text that is not JSON', '{"inputs": [', /not JSON/],
  ['an empty body', '', /not JSON/],
  [
    'a NaN in JSON',
    '{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[NaN,1,2]}]}',
    /missing value is null/,
  ],
  ['a list instead of an object', [], /expected object/],
  ['no inputs', {}, /inputs: /],
  ['an empty list of inputs', { inputs: [] }, /one input, "input"; the request has none/],
  ['an input of another name', input({ name: 'rows' }), /one input, "input"; the request has "rows"/],
  ['a second input', { inputs: [...input().inputs, ...input().inputs] }, /has "input", "input"/],
  [
    'a shape of one dimension',
    input({ shape: [3] }),
    /shape \[3\]; expected is \[rows,3\] for distance, hour, late_rate/,
  ],
  ['a shape of four columns', input({ shape: [1, 4], data: [1, 2, 3, 4] }), /shape \[1,4\]/],
  ['a negative shape', input({ shape: [-1, 3] }), /inputs\.0\.shape\.0/],
  ['no rows', input({ shape: [0, 3], data: [] }), /from 1 to 100 rows/],
  ['too many rows', input({ shape: [101, 3], data: [] }), /from 1 to 100 rows; this one has 101/],
  ['fewer values than the shape', input({ data: [1, 2] }), /has 2 values; shape \[1,3\] needs 3/],
  ['fewer rows than the shape', input({ shape: [2, 3], data: [row] }), /in rows, 1 values/],
  ['a short row', input({ shape: [2, 3], data: [row, [1, 2]] }), /row 1 has 2 values/],
  ['rows and numbers mixed', input({ shape: [2, 3], data: [row, 4] }), /row 1 is not an array/],
  ['no data', input({ data: undefined }), /no data/],
  ['data that is no list', input({ data: 7 }), /no data: an array is expected/],
  ['text for a number', input({ data: [1, '2', 3] }), /row 0, column "hour": "2" is not a number/],
  ['true for a number', input({ data: [1, 2, true] }), /column "late_rate": true is not a number/],
  [
    'a number beyond float64',
    '{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1e999,1,2]}]}',
    /not finite/,
  ],
  ['a number beyond float32', input({ data: [1, 2, 1e39] }), /too large for FP32/],
  ['a fraction in INT64', input({ datatype: 'INT64', data: [1, 2.5, 3] }), /2.5 is not a whole number/],
  ['null in INT32', input({ datatype: 'INT32', data: [1, null, 3] }), /FP32 and FP64 only/],
  [
    'an integer that float32 has no place for',
    input({ datatype: 'INT64', data: [16_777_217, 0, 0] }),
    /cannot be told/,
  ],
  [
    'a datatype that no number fits',
    input({ datatype: 'BYTES', data: ['a', 'b', 'c'] }),
    /BYTES; accepted are FP32, FP64/,
  ],
  [
    'an output that does not exist',
    { ...input(), outputs: [{ name: 'label' }] },
    /no output "label"; it has "prediction"/,
  ],
  ['an event time that is none', { ...input(), parameters: { event_time: 'yesterday' } }, /not an ISO 8601 instant/],
  ['an event time that is a number', { ...input(), parameters: { event_time: 7 } }, /must be an ISO 8601 instant/],
  [
    'two event times for one row',
    { ...input(), parameters: { event_time: ['2001-01-01', '2001-01-02'] } },
    /lists 2 values for 1 rows/,
  ],
  ['a key that is no object', { ...input(), parameters: { key: 'AA1' } }, /key must be an object/],
  ['a key that cannot be stored', { ...input(), parameters: { key: { id: 'a\u0000' } } }, /U\+0000/],
  ['an id that is a number', { ...input(), id: 7 }, /id: /],
  ['an id without end', { ...input(), id: 'x'.repeat(257) }, /id: /],
])('%s is refused with its reason', async (_, body, reason) => {
  const { status, json } = await infer(body);
  expect(json).toMatchObject({
    error: expect.stringMatching(reason),
    code: 'inference_input_invalid',
    help: expect.any(String),
  });
  expect(status).toBe(400);
});

test('a body that is too large is refused before it is read', async () => {
  const { status, json } = await infer('x'.repeat(20_001));
  expect([status, json.code]).toEqual([413, 'request_too_large']);
});

test('a compressed body is read, and one that unpacks to too much is refused', async () => {
  const packed = await infer(gzipSync(JSON.stringify(oneRow(row))), { 'content-encoding': 'gzip' });
  expect(packed.status).toBe(200);
  const bomb = await infer(gzipSync(Buffer.alloc(1_000_000)), { 'content-encoding': 'gzip' });
  expect([bomb.status, bomb.json.code]).toEqual([413, 'request_too_large']);
  const plain = await infer('{}', { 'content-encoding': 'gzip' });
  expect([plain.status, plain.json.code]).toEqual([400, 'inference_input_invalid']);
});

describe('binary tensors', () => {
  const binary = (json: object, bytes: Buffer) => {
    const head = Buffer.from(JSON.stringify(json));
    return infer(Buffer.concat([head, bytes]), { 'inference-header-content-length': String(head.length) });
  };
  const floats = (values: number[]) => Buffer.from(Float32Array.from(values).buffer);
  const sized = (size: number, change: object = {}) =>
    input({ data: undefined, parameters: { binary_data_size: size }, ...change });

  test('are read and answered raw when asked for', async () => {
    const { status, headers, body } = await binary(
      { ...sized(12), outputs: [{ name: 'prediction', parameters: { binary_data: true } }] },
      floats(row),
    );
    expect(status).toBe(200);
    const end = Number(headers['inference-header-content-length']);
    const json = JSON.parse(body.toString('utf8', 0, end));
    expect(json.outputs).toEqual([
      { name: 'prediction', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } },
    ]);
    expect(body.readFloatLE(end)).toBeCloseTo(riskOf('risk', row), 6);
    expect(body).toHaveLength(end + 4);
  });

  test('may hold NaN for a missing value, and any accepted datatype', async () => {
    const nan = await binary(sized(12), floats([NaN, 2, 3]));
    expect(nan.json.outputs[0].data[0]).toBeCloseTo(riskOf('risk', [null, 2, 3]), 6);
    const whole = await binary(sized(24, { datatype: 'INT64' }), Buffer.from(BigInt64Array.from([1n, 2n, 3n]).buffer));
    expect(whole.json.outputs[0].data[0]).toBeCloseTo(riskOf('risk', row), 6);
  });

  test.each<[string, object, Buffer, RegExp]>([
    ['of another size than they say', sized(8), floats(row), /binary_data_size is 8; 12 bytes follow/],
    ['of another size than the shape', sized(8), floats([1, 2]), /in bytes, 8 values; shape \[1,3\] needs 12/],
    [
      'beside JSON data',
      input({ parameters: { binary_data_size: 12 } }),
      floats(row),
      /both data and binary_data_size/,
    ],
    ['that nothing announces', input(), floats(row), /12 bytes follow the JSON, but no input/],
    ['that are infinite', sized(12), floats([1, Infinity, 3]), /Infinity is not finite/],
  ])('%s are refused', async (_, json, bytes, reason) => {
    const answer = await binary(json, bytes);
    expect(answer.json).toMatchObject({ error: expect.stringMatching(reason), code: 'inference_input_invalid' });
  });

  test('with a length of JSON beyond the body are refused', async () => {
    const answer = await infer('{}', { 'inference-header-content-length': '99' });
    expect(answer.json).toMatchObject({
      error: expect.stringMatching(/body has 2 bytes/),
      code: 'inference_input_invalid',
    });
  });
});

test('metrics count requests by outcome, give a histogram, and name the version that answers', async () => {
  await infer(oneRow(row));
  await infer({});
  const { body, headers } = await http(at, 'GET', '/metrics');
  const text = body.toString();
  const value = (series: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')
        .at(-1),
    );
  expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  const labels = '{project="eider",endpoint="risk"}';
  expect(value('eider_inference_requests_total{project="eider",endpoint="risk",outcome="ok"}')).toBeGreaterThan(0);
  expect(
    value('eider_inference_requests_total{project="eider",endpoint="risk",outcome="inference_input_invalid"}'),
  ).toBeGreaterThan(0);
  expect(value('eider_inference_duration_seconds_bucket{project="eider",endpoint="risk",le="+Inf"}')).toBe(
    value(`eider_inference_duration_seconds_count${labels}`),
  );
  expect(value(`eider_serving_version${labels}`)).toBe(1);
  expect(value('eider_inference_log_rows_written_total')).toBeGreaterThan(0);
  expect(value('eider_inference_log_queue_rows')).toBe(0);
});

test('names that nobody declared make no series of their own', async () => {
  await http(at, 'POST', '/v2/models/made_up/infer', oneRow(row));
  expect((await http(at, 'GET', '/metrics')).body.toString()).not.toMatch(/made_up/);
});
