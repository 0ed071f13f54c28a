/** Keeps the trainer contract (docs/trainers.md) without Flight: the model is risk.onnx or risk2.onnx of test/models/fixtures. */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const { EIDER_OUTPUT: output, EIDER_PARAMS: paramsFile, EIDER_TRAINING_SET: trainingSet } = process.env;
const { parameters, inputs } = JSON.parse(readFileSync(paramsFile, 'utf8'));
const [day] = /\d{8}/.exec(JSON.parse(trainingSet).name);
const name = Number(day) >= parameters.second_from ? 'risk2' : 'risk';
const { of, bias } = { risk: { of: [0.5, -0.25, 1], bias: 0.125 }, risk2: { of: [0.75, -0.5, 0.25], bias: -1 } }[name];

console.log(`copying ${name}`);
console.log('progress {"step":1,"total":2}');
if (parameters.hang_once && !existsSync('../attempts')) {
  // Its child ignores SIGTERM, as programs of other people do.
  const child = spawn('sh', ['-c', "trap '' TERM; while :; do sleep 0.1; done"], { stdio: 'ignore' });
  writeFileSync('../attempts', `${process.pid} ${child.pid}`);
  setInterval(() => {}, 1000);
} else {
  await hand();
}

async function hand() {
  copyFileSync(join(import.meta.dirname, '../../../models/fixtures', `${name}.onnx`), join(output, 'model.onnx'));
  const tensor = { datatype: 'FP32' };
  write('signature.json', {
    inputs: [{ name: 'input', ...tensor, shape: [-1, inputs.length], columns: inputs }],
    outputs: [{ name: 'prediction', ...tensor, shape: [-1] }],
  });
  write('metrics.json', { train: { auc: 0.6 }, test: { auc: 0.6 }, rows: { train: 2, test: 1 } });
  const rows = [[1, 2, 3], [0, 0, 0], [-1.5, 0.5, 0.25]]; // prettier-ignore
  const values = rows.map((row) => `(${[...row, answer(row)].map((value) => `${value}::FLOAT`).join(', ')})`);
  const columns = [...inputs, 'prediction'].map((column) => `"${column}"`).join(', ');
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run(
    `COPY (SELECT * FROM (VALUES ${values.join(', ')}) golden(${columns})) TO '${join(output, 'golden.parquet')}' (FORMAT parquet)`,
  );
  console.log('progress {"step":2,"total":2}');
}

function answer(row) {
  return 1 / (1 + Math.exp(-row.reduce((sum, value, at) => sum + value * of[at], bias)));
}

function write(file, content) {
  writeFileSync(join(output, file), JSON.stringify(content));
}
