import type { Command } from 'commander';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { parseAllDocuments } from 'yaml';
import {
  DatasetSpec,
  type BuiltDataset,
  type RecreatedDataset,
  type TakenSpine,
  type VerifiedDataset,
} from '../../../domain/datasets.js';
import { DomainError } from '../../../domain/errors.js';
import type { Instant } from '../../../domain/ids.js';
import { arrowTypes } from '../../../domain/spines.js';
import {
  answerStarted,
  apiCommand,
  asInstant,
  waitOption,
  withSession,
  type Session,
  type Started,
} from '../api-command.js';
import { figure } from '../table.js';
import { uploadLabels } from './labels.js';

interface Wait {
  readonly wait?: boolean;
}
type StartedDataset = Started & { readonly dataset: string };

/** `eider dataset …`: everything about training sets; without another word, that of a Model. */
export function registerDatasets(program: Command): void {
  const group = program
    .command('dataset')
    .description('build training sets, and look whether they still are what they were')
    .enablePositionalOptions();
  registerBuilding(group);
  registerChecks(group);
  registerMoving(group);
}

function registerBuilding(group: Command): void {
  apiCommand(group, {
    ...{ usage: 'of <model>', isDefault: true },
    description: 'build the training set of a model',
    example: 'eider dataset lateness --as-of 2001-03-05 --wait',
  })
    .requiredOption('--as-of <instant>', 'nothing known later is used', asInstant)
    .option(...waitOption)
    .action(
      withSession<Wait & { asOf: Instant }>(async (session, { asOf, wait }, model = '') => {
        const started = await session.api.post<StartedDataset>(`/models/${model}/training-sets`, { asOf });
        await answerStarted(session, started, { wait }, built);
      }),
    );

  apiCommand(group, {
    usage: 'build',
    description: 'build the training sets that YAML files declare',
    example: 'eider dataset build -f dataset.yaml --wait',
  })
    .requiredOption('-f, --filename <path...>', 'files, several documents a file')
    .option(...waitOption)
    .action(
      withSession<Wait & { filename: string[] }>(async (session, { filename, wait }) => {
        const specs = (await Promise.all(filename.map(readSpecs))).flat();
        for (const spec of specs)
          await answerStarted(session, await session.api.post<StartedDataset>('/datasets', spec), { wait }, built);
      }),
    );

  apiCommand(group, {
    usage: 'relabel <dataset>',
    description: 'build another training set of the same rows, with the labels that were uploaded since',
    example: 'eider dataset relabel churn_march --name churn_march_labelled --as-of 2001-05-01 --wait',
  })
    .requiredOption('--name <name>', 'of the new training set')
    .option('--as-of <instant>', 'by when labels must be known; default: as for the first', asInstant)
    .option(...waitOption)
    .action(
      withSession<Wait & { name: string; asOf?: Instant }>(async (session, { name, asOf, wait }, dataset = '') => {
        const started = await session.api.post<StartedDataset>(`/datasets/${dataset}/relabel`, { name, asOf });
        await answerStarted(session, started, { wait }, built);
      }),
    );
}

const built = ({ name, rows, rowHash }: BuiltDataset): string => `${name}: ${figure(rows)} rows, row hash ${rowHash}\n`;

function registerChecks(group: Command): void {
  apiCommand(group, {
    usage: 'verify <dataset>',
    description: 'hash its file and rows anew, and name what is not as it was written; ends with 1 if something is not',
    example: 'eider dataset verify lateness_r1_20010305 --wait',
  })
    .option(...waitOption)
    .action(
      withSession<Wait>((session, { wait }, dataset = '') =>
        check<VerifiedDataset>(session, `/datasets/${dataset}/verify`, { wait }, ['intact', 'erased']),
      ),
    );

  apiCommand(group, {
    usage: 'recreate <dataset>',
    description: 'make it again from the states that it pins; ends with 1 if other rows come out',
    example: 'eider dataset recreate lateness_r1_20010305 --wait',
  })
    .option(...waitOption)
    .action(
      withSession<Wait>((session, { wait }, dataset = '') =>
        check<RecreatedDataset>(session, `/datasets/${dataset}/recreate`, { wait }, ['same', 'erased']),
      ),
    );
}

async function check<Result extends VerifiedDataset | RecreatedDataset>(
  session: Session,
  path: string,
  wait: Wait,
  good: readonly string[],
): Promise<void> {
  const started = await session.api.post<Started>(path);
  if (!wait.wait) return answerStarted(session, started, wait, () => '');
  const result = await session.wait<Result>(started.workflowId);
  const { name, verdict, reasons } = result;
  session.answer({ ...started, result }, () =>
    [`${name}: ${verdict}`, ...reasons.map((reason) => `  ${reason}`), ''].join('\n'),
  );
  if (!good.includes(verdict)) process.exitCode = 1;
}

function registerMoving(group: Command): void {
  apiCommand(group, {
    usage: 'upload <file>',
    description: 'upload an Arrow table (IPC stream or file) as a spine; answers the hash to name it by',
    example: 'eider dataset upload spine.arrows',
  }).action(
    withSession(async (session, _options, file = '') => {
      const bytes = await read(file);
      const taken = await session.api.send<TakenSpine>('/datasets/spines', bytes, arrowTypes[formOf(bytes)]);
      session.answer(taken, () => `${taken.spine}\n${figure(taken.rows)} rows, ${taken.columns.length} columns\n`);
    }),
  );

  apiCommand(group, {
    usage: 'download <dataset>',
    description: 'write its rows to a Parquet file',
    example: 'eider dataset download lateness_r1_20010305 --output rows.parquet',
  })
    .requiredOption('-o, --output <file>', 'where to')
    .action(
      withSession<{ output: string }>(async (session, { output }, dataset = '') => {
        const body = (await session.api.download(`/datasets/${dataset}/rows`)) as ReadableStream;
        await pipeline(Readable.fromWeb(body), createWriteStream(output));
        session.answer({ dataset, output }, () => `${output}\n`);
      }),
    );

  apiCommand(group, {
    usage: 'labels <dataset>',
    description: 'upload labels of its rows: a JSON array, or one JSON object a line, of { key, label, knownAt }',
    example: 'eider dataset labels churn_march -f labels.jsonl',
  })
    .requiredOption('-f, --filename <path>', 'a .json or .jsonl file')
    .action(
      withSession<{ filename: string }>(async (session, { filename }, dataset = '') => {
        const labels = await uploadLabels(session, `/datasets/${dataset}/labels`, filename);
        session.answer({ dataset, labels }, () => `${figure(labels)} labels uploaded\n`);
      }),
    );
}

/** An Arrow file begins with this; a stream does not. */
const fileMagic = 'ARROW1';
const formOf = (bytes: Buffer) =>
  bytes.subarray(0, fileMagic.length).toString('latin1') === fileMagic ? 'file' : 'stream';

const read = (file: string): Promise<Buffer> =>
  readFile(file).catch(() => {
    throw new DomainError('request_invalid', `There is no file ${file}.`, { file });
  });

/** The path of a spine becomes absolute, from the place of the YAML file. */
async function readSpecs(file: string): Promise<DatasetSpec[]> {
  const documents = parseAllDocuments((await read(file)).toString('utf8'));
  return (Array.isArray(documents) ? documents : []).map((document) => {
    const [mistake] = document.errors;
    if (mistake) throw new DomainError('yaml_invalid', `${file}: ${mistake.message}`, { file });
    const parsed = DatasetSpec.safeParse(document.toJS());
    if (!parsed.success) {
      const problems = parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message }));
      const listed = problems.map(({ field, message }) => `${field}: ${message}`).join('; ');
      throw new DomainError('request_invalid', `${file}: ${listed}.`, { problems });
    }
    const { spine } = parsed.data;
    if (spine.from !== 'parquet' || isAbsolute(spine.path) || /^[a-z0-9]+:\/\//i.test(spine.path)) return parsed.data;
    return { ...parsed.data, spine: { ...spine, path: resolve(dirname(file), spine.path) } };
  });
}
