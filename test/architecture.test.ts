import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { ESLint } from 'eslint';
import ts from 'typescript';
import { projectRoot } from '../apps/config.js';
import { treeFiles } from './support/tree.js';

/** The README's folder table is the law; this test holds every import of the tree against it. */

interface Rule {
  readonly folder: string;
  readonly everything: boolean;
  /** Folders or files whose values and types may be imported. */
  readonly values: readonly string[];
  /** Folders of which only types may be imported. */
  readonly types: readonly string[];
  /** The packages, when the row names any; null: all that package.json lists. */
  readonly packages: readonly string[] | null;
}

interface Import {
  readonly from: string;
  /** A path of the tree without `.ts`, or a package. */
  readonly to: string;
  readonly typeOnly?: boolean;
  /** `import()`: happens when it is reached, not before the file runs. */
  readonly dynamic?: boolean;
}

const readme = readFileSync(join(projectRoot, 'README.md'), 'utf8');
const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};

const spans = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, inner]) => inner ?? '');

/** A cell is clauses between semicolons; the code spans of a clause are what it allows, "types of" only their types. */
function ruleOf(folder: string, cell: string): Rule {
  const clauses = cell.split(';').map((clause) => clause.trim());
  const named = (typesOnly: boolean) =>
    clauses.filter((clause) => clause.startsWith('types of') === typesOnly).flatMap(spans);
  const packages = named(false).filter((name) => name.startsWith('@'));
  return {
    folder,
    everything: cell.startsWith('everything'),
    values: named(false).filter((name) => !name.startsWith('@')),
    types: named(true),
    packages: cell === 'Node only' ? [] : packages.length > 0 ? packages : null,
  };
}

const table = readme.slice(readme.indexOf('| Folder |'));
const rules = table
  .slice(0, table.indexOf('\n\n'))
  .split('\n')
  .slice(2)
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, folder = '', , cell = '']) => ruleOf((spans(folder)[0] ?? '').replace(/\/$/, ''), cell));

/** The innermost row that a path belongs to. */
const ruleFor = (path: string): Rule | undefined =>
  rules
    .filter(({ folder }) => path === folder || path.startsWith(`${folder}/`))
    .sort((a, b) => b.folder.length - a.folder.length)[0];

const isWithin = (path: string, place: string) => path === place || path.startsWith(`${place}/`);
/** The files right in apps/ are for every app. */
const isShared = (path: string) => /^apps\/[^/]+$/.test(path);

function importsOf(from: string): Import[] {
  const source = ts.createSourceFile(from, readFileSync(join(projectRoot, from), 'utf8'), ts.ScriptTarget.ES2022, true);
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, how: Pick<Import, 'typeOnly' | 'dynamic'>) => {
    const text = specifier && ts.isStringLiteralLike(specifier) ? specifier.text : computed;
    const to = text.startsWith('.') ? normalize(join(dirname(from), text)).replace(/\.(js|ts)$/, '') : text;
    found.push({ from, to, ...how });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, { typeOnly: bringsTypesOnly(node.importClause) });
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier)
      add(node.moduleSpecifier, { typeOnly: node.isTypeOnly });
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, { typeOnly: true });
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0], { dynamic: true });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const computed = '(computed)';

function bringsTypesOnly(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = clause;
  return (
    name === undefined &&
    namedBindings !== undefined &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.length > 0 &&
    namedBindings.elements.every((element) => element.isTypeOnly)
  );
}

/** Why an import breaks the table; null when it does not. */
function violation(one: Import, rule: Rule): string | null {
  const { from, to, typeOnly = false } = one;
  const allowed =
    ruleFor(to) === undefined
      ? mayImportPackage(one, rule)
      : isOwn(to, rule) ||
        (rule.folder.startsWith('apps/') && isShared(to)) ||
        (rule.everything && !/^(apps|test|bench)\//.test(to)) ||
        rule.values.some((place) => isWithin(to, place)) ||
        (typeOnly && rule.types.some((place) => isWithin(to, place)));
  return allowed ? null : `${from} imports ${typeOnly ? 'types of ' : ''}${to}`;
}

const isOwn = (to: string, { folder }: Rule) => (folder === 'apps' ? isShared(to) : isWithin(to, folder));

/** A row that names packages allows no others; `bin/` loads packages only once they are there. */
function mayImportPackage({ to, dynamic = false }: Import, { folder, packages }: Rule): boolean {
  const name = to.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? to;
  if (folder === 'bin') return isBuiltin(to) || (dynamic && (to === computed || name in manifest.dependencies));
  if (packages) return packages.includes(name);
  return isBuiltin(to) || name in manifest.dependencies;
}

const files = treeFiles();
const code = files.filter((file) => /\.(ts|js|mjs)$/.test(file) && file.includes('/'));
const product = code.filter((file) => !/^(test|bench|dist)\//.test(file));

test('the README lists every folder of the tree, and only those', () => {
  const top = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0] ?? ''));
  const apps = new Set(files.flatMap((file) => /^apps\/[^/]+(?=\/)/.exec(file)?.[0] ?? []));
  const expected = [...[...top].filter((folder) => !folder.startsWith('.')), ...apps];
  const listed = rules.map(({ folder }) => folder).filter((folder) => folder !== 'domain/decide');
  expect(listed.sort()).toEqual(expected.sort());
});

test('each file imports only what the row of its folder allows', () => {
  const broken = product.flatMap((file) => {
    const rule = ruleFor(file);
    return rule ? importsOf(file).map((one) => violation(one, rule)) : [`${file} has no row in the README`];
  });
  expect(broken.filter((one) => one !== null)).toEqual([]);
});

test.each<[string, Import]>([
  ['an app that imports another', { from: 'apps/api/a.ts', to: 'apps/serve/b' }],
  ['a type of another app', { from: 'apps/api/a.ts', to: 'apps/serve/b', typeOnly: true }],
  ['the store from a workflow', { from: 'workflows/a.ts', to: 'store/db', typeOnly: true }],
  ['a value of an activity in a workflow', { from: 'workflows/a.ts', to: 'activities/index' }],
  ['zod schemas in a workflow', { from: 'workflows/a.ts', to: 'domain/resources' }],
  ['zod in a workflow', { from: 'workflows/a.ts', to: 'zod' }],
  ['a Node module in a workflow', { from: 'workflows/a.ts', to: 'node:fs' }],
  ['a workflow function in the API', { from: 'apps/api/a.ts', to: 'workflows/training' }],
  ['schemas in a decision', { from: 'domain/decide/a.ts', to: 'domain/resources' }],
  ['the lake in the store', { from: 'store/a.ts', to: 'lake/duckdb', typeOnly: true }],
  ['a test in the product', { from: 'lake/a.ts', to: 'test/lake/world' }],
  ['the domain importing the store', { from: 'domain/a.ts', to: 'store/db' }],
  ['an app in a shared file of apps', { from: 'apps/log.ts', to: 'apps/api/server' }],
  ['a development package in the product', { from: 'lake/a.ts', to: 'fast-check' }],
])('%s is refused', (_, one) => expect(violation(one, ruleFor(one.from) as Rule)).not.toBeNull());

test.each(['domain/ids.ts', 'domain/errors.ts'])('%s, which workflows may use, imports no package', (file) => {
  const reached = (path: string): Import[] =>
    importsOf(path).flatMap((one) =>
      one.typeOnly ? [] : [one, ...(one.to.startsWith('domain/') ? reached(`${one.to}.ts`) : [])],
    );
  expect(reached(file).filter(({ to }) => !to.startsWith('domain/'))).toEqual([]);
});

test('the environment is read only in apps/config.ts, and outside of what is built', () => {
  const free = /^(apps\/config\.ts$|bin\/|test\/|bench\/|trainers\/)/;
  const reads = (file: string) =>
    /\bprocess\s*(\.\s*env\b|\[\s*['"]env['"])/.test(readFileSync(join(projectRoot, file), 'utf8'));
  expect(code.filter((file) => !free.test(file) && reads(file))).toEqual([]);
});

test('no folder is a drawer for everything', () => {
  const drawers = new Set(['utils', 'util', 'common', 'core', 'helpers', 'helper', 'shared', 'misc', 'lib']);
  expect(
    files.filter((file) =>
      dirname(file)
        .split('/')
        .some((part) => drawers.has(part)),
    ),
  ).toEqual([]);
});

test('no file of code has 300 lines', () => {
  const linesMax = 299;
  const counted = files
    .filter((file) => /\.(ts|js|mjs|py)$/.test(file) && !file.startsWith('test/upstream/'))
    .map((file) => ({ file, lines: readFileSync(join(projectRoot, file), 'utf8').split('\n').length - 1 }));
  expect(counted.filter(({ lines }) => lines > linesMax)).toEqual([]);
});

test('ESLint refuses functions of more than 70 lines, outside of tests', async () => {
  const eslint = new ESLint({ cwd: projectRoot });
  for (const file of ['workflows/training.ts', 'apps/api/server.ts', 'domain/decide/promotion.ts', 'store/db.ts']) {
    const { rules: active } = (await eslint.calculateConfigForFile(join(projectRoot, file))) as {
      rules: Record<string, [number, { max: number }]>;
    };
    const [severity, options] = active['max-lines-per-function'] ?? [0, { max: Infinity }];
    expect([file, severity, options.max]).toEqual([file, 2, 70]);
  }
});
