import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { projectRoot } from '../apps/config.js';
import { settings } from '../apps/settings.js';
import { errorTable } from '../domain/errors.js';
import { kinds, Resource, type Kind } from '../domain/resources.js';
import { treeFiles } from './support/tree.js';

/** What the documentation says is so, and what there is, it says. */

const files = treeFiles();
const pages = files.filter((file) => file.endsWith('.md') && !/^(test|proto)\//.test(file));
const read = (file: string) => readFileSync(join(projectRoot, file), 'utf8');
const all = pages.map(read).join('\n');
const blocks = (text: string, ...languages: string[]): string[] =>
  [...text.matchAll(/^```(\w*)\n(.*?)^```/gms)].flatMap(([, language = '', block = '']) =>
    languages.includes(language) ? [block] : [],
  );
const withoutBlocks = (text: string) => text.replace(/^```.*?^```/gms, '');
const json = (file: string) => JSON.parse(read(file)) as Record<string, unknown>;

test.each(Object.keys(errorTable))('the error %s is documented', (code) => {
  expect(read('docs/errors.md')).toContain(`| \`${code}\` |`);
});

test.each(Object.keys(settings))('the setting %s is documented', (name) => {
  expect(read('docs/settings.md')).toContain(`| \`${name}\` |`);
});

test('every page is linked from the README or from a page that is', () => {
  const reached = new Set(['README.md']);
  for (const page of reached)
    for (const { target } of linksOf(page))
      if (target.endsWith('.md') && existsSync(join(projectRoot, target))) reached.add(target);
  expect(pages.filter((page) => !reached.has(page))).toEqual([]);
});

interface Link {
  readonly text: string;
  readonly target: string;
  readonly anchor: string;
}

function linksOf(page: string): Link[] {
  return [...withoutBlocks(read(page)).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(
    ([text, path = '', anchor = '']) => ({
      text,
      anchor,
      target: path === '' ? page : normalize(join(dirname(page), path)),
    }),
  );
}

const anchorsOf = (page: string) =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

test.each(pages)('the links of %s lead somewhere', (page) => {
  const dead = linksOf(page).filter(
    ({ target, anchor }) =>
      !existsSync(join(projectRoot, target)) || (anchor !== '' && !anchorsOf(target).includes(anchor)),
  );
  expect(dead).toEqual([]);
});

test('pages and files that pages, errors and sources speak of exist', () => {
  const sources = files.filter((file) => /\.(ts|js|py|ya?ml)$/.test(file) && !file.startsWith('test/upstream/'));
  const named = [...pages, ...sources].flatMap((file) =>
    [...read(file).matchAll(/\bdocs\/[\w-]+\.(?:md|json)\b/g)].map(([target]) => ({ file, target })),
  );
  const paths = pages.flatMap((file) =>
    [
      ...read(file).matchAll(
        /`((?:apps|workflows|activities|domain|store|lake|models|programs|bin|trainers|test|examples)\/[\w./-]+)[`:]/g,
      ),
    ].map(([, target = '']) => ({ file, target })),
  );
  const there = (target: string) =>
    existsSync(join(projectRoot, target)) || existsSync(join(projectRoot, `${target}.ts`));
  expect([...named, ...paths].filter(({ target }) => !there(target))).toEqual([]);
});

test('the files of every capability that CONTRIBUTING names exist', () => {
  const table = read('CONTRIBUTING.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  const header = table.findIndex((line) => line.startsWith('| | `domain/`'));
  const cells = (line = '') => line.split('|').slice(1, -1);
  const folders = cells(table[header]).map((cell) => /`(.*)\/`/.exec(cell)?.[1] ?? '');
  const named = table
    .slice(header + 2)
    .flatMap((line) =>
      cells(line).flatMap((cell, column) =>
        [...cell.matchAll(/`([^`]+)`/g)].map(
          ([, name]) => `${folders[column]}/${name}${folders[column] === 'apps/api' ? '.controller' : ''}.ts`,
        ),
      ),
    );
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((file) => !existsSync(join(projectRoot, file)))).toEqual([]);
});

test('every YAML block of every page parses, and holds resources where it has a kind', () => {
  for (const page of pages)
    for (const block of blocks(read(page), 'yaml'))
      for (const document of parseAllDocuments(block)) {
        expect({ page, errors: document.errors.map(({ message }) => message) }).toEqual({ page, errors: [] });
        const value = document.toJS() as { kind?: string };
        if (value.kind !== undefined) expect(() => Resource.parse(value)).not.toThrow();
      }
});

const sectionOf = (kind: Kind) => read('docs/resources.md').split(`\n## ${kind}\n`)[1]?.split('\n## ')[0] ?? '';
const declared = ['data', 'features', 'model', 'monitor'].flatMap((name) =>
  parseAllDocuments(read(`examples/flights/${name}.yaml`)).map(
    (document) => document.toJS() as { kind: Kind; name: string },
  ),
);

test.each(kinds)('docs/resources.md shows the %s of examples/flights as it is', (kind) => {
  const shown = blocks(sectionOf(kind), 'yaml').flatMap((block) =>
    parseAllDocuments(block).map((one) => one.toJS() as unknown),
  );
  expect(shown).toEqual(declared.filter((one) => one.kind === kind));
  for (const one of shown) expect(() => Resource.parse(one)).not.toThrow();
});

/** Names of all properties of a JSON schema, at any depth. */
function properties(schema: unknown, definitions: Record<string, unknown>): string[] {
  if (Array.isArray(schema)) return schema.flatMap((one) => properties(one, definitions));
  if (schema === null || typeof schema !== 'object') return [];
  const { properties: own = {}, $ref, ...rest } = schema as { properties?: Record<string, unknown>; $ref?: string };
  const referred = $ref === undefined ? [] : properties(definitions[$ref.replace('#/$defs/', '')], definitions);
  const inner = Object.values(rest).flatMap((one) => (typeof one === 'object' ? properties(one, definitions) : []));
  return [
    ...Object.entries(own).flatMap(([name, one]) => [name, ...properties(one, definitions)]),
    ...referred,
    ...inner,
  ];
}

test.each(kinds)('docs/resources.md names every field of a %s', (kind) => {
  const definitions = json('docs/resource.schema.json')['$defs'] as Record<string, unknown>;
  const fields = [...new Set(properties(definitions[`${kind}Spec`], definitions))];
  const text = sectionOf(kind).slice(sectionOf(kind).lastIndexOf('```'));
  const named = new Set([...text.matchAll(/`([\w.]+)`/g)].flatMap(([, name = '']) => name.split('.')));
  const ofEveryKey = new Set(['description']);
  expect(fields.length).toBeGreaterThan(0);
  expect(fields.filter((field) => !named.has(field) && !ofEveryKey.has(field))).toEqual([]);
});

interface Operation {
  readonly summary?: string;
  readonly responses?: Record<string, unknown>;
}

test('every route says what it does', () => {
  const paths = json('docs/openapi.json')['paths'] as Record<string, Record<string, Operation>>;
  const silent = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { summary, responses }]) =>
      summary && responses?.['default'] ? [] : [`${method} ${path}`],
    ),
  );
  expect(Object.keys(paths).length).toBeGreaterThan(10);
  expect(silent).toEqual([]);
});

test('routes that pages speak of exist', () => {
  const paths = Object.keys(json('docs/openapi.json')['paths'] as object);
  const forms = paths.flatMap((path) => [path, path.replace('/projects/{project}', '')]);
  const patterns = forms.map((path) => new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`));
  const exists = (path: string) =>
    patterns.some((pattern) => pattern.test(path)) || forms.some((form) => form.startsWith(`${path}/`));
  const named = [...all.matchAll(/(\/api\/v1\/[\w/{}.-]+)/g)].map(([, path = '']) => path.replace(/[./]$/, ''));
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((path) => !exists(path))).toEqual([]);
});

const run = promisify(execFile);
const eider = async (...args: string[]) =>
  (await run(process.execPath, [join(projectRoot, 'bin/eider.js'), ...args], { cwd: projectRoot })).stdout;
const commandsOf = (help: string) =>
  (help.split('Commands:\n')[1] ?? '').split('\n').flatMap((line) => /^ {2}([a-z]\S*)/.exec(line)?.[1] ?? []);

test('every command of the command line is documented, and every one that pages show exists', async () => {
  const commands = commandsOf(await eider('--help')).filter((name) => name !== 'help');
  const shown = [...all.matchAll(/\b(?:npx eider|eider\.js) ([a-z-]+)/g)].map(([, name]) => name ?? '');
  const advised = Object.values(errorTable).flatMap(({ help }) =>
    [...help.matchAll(/\beider ([a-z-]+)/g)].map(([, name]) => name ?? ''),
  );
  expect(commands.length).toBeGreaterThan(5);
  expect([...new Set([...shown, ...advised])].filter((name) => !commands.includes(name))).toEqual([]);
  const page = read('docs/cli.md');
  expect(commands.filter((name) => !page.includes(`eider ${name}`) && !page.includes(`\`${name}\``))).toEqual([]);
}, 120_000);

test('every npm script is documented, and every one that pages show exists', () => {
  const scripts = Object.keys(json('package.json')['scripts'] as object);
  const shown = [...all.matchAll(/\bnpm run ([a-z]+)/g)].map(([, name]) => name ?? '');
  expect(shown.filter((name) => !scripts.includes(name))).toEqual([]);
  const known = ['test', 'eider', 'build', 'lint', 'typecheck', ...shown];
  expect(scripts.filter((name) => !known.includes(name))).toEqual([]);
});

test('docs/decisions.md says of every dependency why it is there', () => {
  const { dependencies, devDependencies } = json('package.json') as Record<string, Record<string, string>>;
  const rows = read('docs/decisions.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  const explained = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect(explained.sort()).toEqual(Object.keys({ ...dependencies, ...devDependencies }).sort());
});

test('search attributes are documented', async () => {
  const { searchAttributes } = await import('../domain/ids.js');
  for (const name of Object.values(searchAttributes)) expect(read('docs/operations.md')).toContain(`\`${name}\``);
});

test('generated pages are current', async () => {
  await run(process.execPath, [join(projectRoot, 'bin/generate.js'), '--check'], { cwd: projectRoot });
}, 120_000);
