import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import { parseFile, readResources, type FileProblem } from '../../apps/cli/yaml.js';
import type { DomainError } from '../../domain/errors.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eider-yaml-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, text: string): Promise<string> {
  await mkdir(join(folder, name, '..'), { recursive: true });
  await writeFile(join(folder, name), text);
  return join(folder, name);
}
const refused = async (...paths: string[]): Promise<DomainError> =>
  readResources(paths).then(
    () => Promise.reject(new Error('was accepted')),
    (error: DomainError) => error,
  );

const entity = 'kind: Entity\nname: origin\nspec:\n  keys:\n    - { name: origin, type: VARCHAR }\n';
const sourceFields = ['format', 'path', 'connection', 'table', 'columns', 'rowNumber', 'eventTime', 'knownAt'];

type Mistake = [
  what: string,
  text: string,
  line: number,
  column: number,
  field: string,
  message: RegExp,
  allowed?: string[],
];
const mistakes: readonly Mistake[] = [
  [
    'a misspelt field',
    'kind: Source\nname: a\nspec:\n  path: x\n  eventTime: t\n  knwonAt: t\n',
    6,
    3,
    'spec.knwonAt',
    /is not a field/,
    sourceFields,
  ],
  ['a missing field', 'kind: Source\nname: a\nspec:\n  path: x\n', 4, 3, 'spec.eventTime', /is missing/, sourceFields],
  [
    'a field beside spec',
    `${entity}specs: {}\n`,
    6,
    1,
    'specs',
    /is not a field/,
    ['kind', 'name', 'description', 'owner', 'spec'],
  ],
  [
    'an unknown kind',
    'kind: Modle\nname: a\n',
    1,
    7,
    'kind',
    /"Modle" is not allowed/,
    ['Source', 'Entity', 'FeatureView', 'FeatureService', 'Model', 'Endpoint', 'Monitor'],
  ],
  ['no kind', '# a comment\nname: a\n', 2, 1, 'kind', /is missing/],
  ['a value of another type', `${entity}owner: 7\n`, 6, 8, 'owner', /expected string/],
  ['a name that cannot be', entity.replace('name: origin\nspec', 'name: Origin\nspec'), 2, 7, 'name', /lower case/],
  [
    'a choice that is none',
    entity.replace('VARCHAR', 'TEXT'),
    5,
    29,
    'spec.keys.0.type',
    /"TEXT" is not allowed/,
    expect.arrayContaining(['VARCHAR']) as unknown as string[],
  ],
  [
    'a wrong field deep in a default',
    'kind: Endpoint\nname: a\nspec:\n  model: m\n  policy:\n    tolerance: 1\n',
    6,
    5,
    'spec.policy.tolerance',
    /is not a field/,
    ['goldenTolerance', 'readyTimeout'],
  ],
  [
    'a wrong test of a monitor',
    'kind: Monitor\nname: a\nspec:\n  endpoint: e\n  start: 2001-03-05\n  tests:\n    - test: psi\n      max: 1\n      min: 0\n',
    9,
    7,
    'spec.tests.0.min',
    /is not a field/,
    ['test', 'max', 'columns'],
  ],
  [
    'an instant that is none',
    'kind: Monitor\nname: a\nspec:\n  endpoint: e\n  start: 2001-02-30\n  tests:\n    - { test: row_count, min: 1 }\n',
    5,
    10,
    'spec.start',
    /not a real date/,
  ],
  ['a list where a resource should be', '- a\n- b\n', 1, 1, '', /expected object/],
  ['a text where a resource should be', 'hello\n', 1, 1, '', /expected object/],
  ['the second document', `${entity}---\nkind: Entity\nname: b\nspec: {}\n`, 9, 7, 'spec.keys', /is missing/, ['keys']],
];

// Without the null Jest would take the last parameter for its callback.
test.each(
  mistakes.map(
    ([what, text, line, column, field, message, allowed]) =>
      [what, text, line, column, field, message, allowed ?? null] as const,
  ),
)(
  '%s is named with its line, its column and what is allowed there',
  async (_, text, line, column, field, message, allowed) => {
    const { shape, syntax } = parseFile('a.yaml', text);
    expect(syntax).toEqual([]);
    expect(shape).toHaveLength(1);
    expect(shape[0]).toMatchObject({ file: 'a.yaml', line, column, field });
    expect(shape[0]?.message).toMatch(message);
    if (allowed) expect(shape[0]?.allowed).toEqual(allowed);
  },
);

test.each([
  ['a quote that is never closed', 'kind: "Entity\nname: a\n', 3],
  ['a wrong indentation', 'kind: Entity\n  name: a\n', 1],
  ['a key twice', 'kind: Entity\nkind: Entity\n', 2],
  ['a tab', 'kind: Entity\nspec:\n\tkeys: []\n', 3],
  ['a bracket that is never closed', 'kind: Entity\nspec: { keys: [\n', 3],
  ['an alias of nothing', 'kind: *nothing\n', 1],
])('%s is no YAML, at a line', (_, text, line) => {
  const { syntax, resources } = parseFile('a.yaml', text);
  expect(resources).toEqual([]);
  expect(syntax[0]).toMatchObject({ file: 'a.yaml', line });
});

test('aliases that would grow without bound are refused', () => {
  const grow = Array.from(
    { length: 12 },
    (_, at) =>
      `a${at}: &a${at} [${Array(9)
        .fill(at === 0 ? 'x' : `*a${at - 1}`)
        .join(', ')}]`,
  );
  expect(parseFile('a.yaml', grow.join('\n')).syntax).toMatchObject([
    { message: expect.stringMatching(/alias/i) as string },
  ]);
});

test('the problems of all files come at once, and nothing is sent', async () => {
  const [one, two] = [
    await file('many/one.yaml', 'kind: Entity\nname: a\nspec: {}\n'),
    await file('many/two.yml', 'kind: [\n'),
  ];
  const error = await refused(join(folder, 'many'));
  expect(error.code).toBe('yaml_invalid');
  expect((error.data['problems'] as FileProblem[]).map((problem) => problem.file)).toEqual([two, one]);
  expect(error.message).toContain(`${one}:3:7: spec.keys: is missing; allowed: keys`);
});

test('a folder is read through, file by file; a relative source path is resolved from its file', async () => {
  await file('tree/b.yaml', entity);
  await file(
    'tree/a/source.yml',
    'kind: Source\nname: s\nspec: { path: ../data/*.parquet, eventTime: t }\n---\n# nothing\n---\n',
  );
  await file('tree/a/notes.txt', 'no yaml');
  const resources = await readResources([join(folder, 'tree')]);
  expect(resources.map(({ kind, name }) => `${kind}/${name}`)).toEqual(['Source/s', 'Entity/origin']);
  expect(resources[0]).toMatchObject({ spec: { path: join(folder, 'tree', 'data', '*.parquet'), format: 'parquet' } });
});

test.each([
  ['a path of nothing', ['nowhere.yaml'], /no file or folder .*nowhere\.yaml/],
  ['a folder without YAML', ['empty'], /no YAML file/],
  ['a file without a resource', ['nothing.yaml'], /no resource/],
])('%s is refused', async (_, names, message) => {
  await mkdir(join(folder, 'empty'), { recursive: true });
  await file('nothing.yaml', '# nothing\n');
  const error = await refused(...names.map((name) => join(folder, name)));
  expect(error).toMatchObject({ code: 'yaml_invalid', message: expect.stringMatching(message) as string });
});

test('the examples are accepted', async () => {
  const resources = await readResources([join(projectRoot, 'examples', 'flights')]);
  expect(new Set(resources.map(({ kind }) => kind)).size).toBe(7);
});
