import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { isMap, isNode, LineCounter, parseAllDocuments, type Document } from 'yaml';
import type { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { Resource } from '../../domain/resources.js';
import { allowedAt } from './yaml-fields.js';

/** What is wrong in a file, and where; lines and columns count from 1. */
export interface FileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** As `spec.inputs.2`; empty for the document as a whole. */
  readonly field: string;
  readonly message: string;
  /** The fields or values that may stand there. */
  readonly allowed?: readonly string[];
}

const filesMax = 500;

/**
 * The resources in YAML files and in the folders' YAML files, several documents a file. Paths of sources become absolute, from
 * the place of their file. Throws `yaml_invalid` or `resource_invalid` with every problem of every file.
 */
export async function readResources(paths: readonly string[]): Promise<Resource[]> {
  const files = (await Promise.all(paths.map(yamlFiles))).flat();
  if (files.length === 0) throw new DomainError('yaml_invalid', `There is no YAML file in ${paths.join(', ')}.`);
  if (files.length > filesMax)
    throw new DomainError(
      'yaml_invalid',
      `${files.length} YAML files in ${paths.join(', ')}; ${filesMax} are allowed.`,
    );
  const read = await Promise.all(files.map(async (file) => parseFile(file, await readFile(file, 'utf8'))));
  const syntax = read.flatMap(({ syntax }) => syntax);
  const shape = read.flatMap(({ shape }) => shape);
  if (syntax.length > 0) throw problemsOf('yaml_invalid', [...syntax, ...shape]);
  if (shape.length > 0) throw problemsOf('resource_invalid', shape);
  const resources = read.flatMap((one) => one.resources);
  if (resources.length === 0) throw new DomainError('yaml_invalid', `There is no resource in ${paths.join(', ')}.`);
  return resources;
}

async function yamlFiles(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => {
    throw new DomainError('yaml_invalid', `There is no file or folder ${path}.`, { path });
  });
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

interface ParsedFile {
  readonly resources: Resource[];
  readonly syntax: FileProblem[];
  readonly shape: FileProblem[];
}

/** Every document of one file: what is right, and what is wrong with the rest. */
export function parseFile(file: string, text: string): ParsedFile {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const result: ParsedFile = { resources: [], syntax: [], shape: [] };
  for (const document of documents as Document[]) {
    if (document.errors.length > 0) {
      result.syntax.push(
        ...document.errors.map(({ pos, message }) => ({ ...at(pos[0]), field: '', message: firstLine(message) })),
      );
      continue;
    }
    const value = valueOf(document);
    if (value === null) continue;
    if (value instanceof Error) {
      const place = at(document.contents?.range?.[0] ?? 0);
      result.syntax.push({ ...place, field: '', message: lowerFirst(firstLine(value.message)) });
      continue;
    }
    const checked = Resource.safeParse(value);
    if (checked.success) result.resources.push(withAbsolutePath(checked.data, file));
    else result.shape.push(...checked.error.issues.flatMap((issue) => describe(issue, document, value, at)));
  }
  return result;
}

/** Aliases are followed only now: one of nothing, or too many of them, is an error of the document. */
function valueOf(document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    return error;
  }
}

const firstLine = (message: string): string => message.split('\n')[0] ?? message;

function withAbsolutePath(resource: Resource, file: string): Resource {
  if (resource.kind !== 'Source') return resource;
  const { path } = resource.spec;
  if (path === undefined || isAbsolute(path) || /^[a-z0-9]+:\/\//i.test(path)) return resource;
  return { ...resource, spec: { ...resource.spec, path: resolve(dirname(file), path) } };
}

type Place = (offset: number) => Pick<FileProblem, 'file' | 'line' | 'column'>;

/** One problem for each unknown field, one for any other issue, at the line where the value stands or should stand. */
function describe(issue: z.core.$ZodIssue, document: Document, value: unknown, at: Place): FileProblem[] {
  const allowed = (path: readonly PropertyKey[]) => allowedAt(Resource, value, path) ?? undefined;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      ...at(offsetOf(document, [...issue.path, key], true)),
      field: [...issue.path, key].join('.'),
      message: 'is not a field of this resource',
      allowed: allowed(issue.path),
    }));
  const missing = valueAt(value, issue.path) === undefined && issue.path.length > 0;
  const choices = ['invalid_value', 'invalid_union'].includes(issue.code) ? allowed(issue.path) : undefined;
  const wrong = choices ? `${JSON.stringify(valueAt(value, issue.path))} is not allowed` : lowerFirst(issue.message);
  return [
    {
      ...at(offsetOf(document, issue.path, false)),
      field: issue.path.join('.'),
      message: missing ? 'is missing' : wrong,
      allowed: missing ? (choices ?? allowed(issue.path.slice(0, -1))) : choices,
    },
  ];
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, step) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[step],
    value,
  );
}

/** Where the value of a path begins (or its key); the nearest thing around it when it is not there. */
function offsetOf(document: Document, path: readonly PropertyKey[], ofKey: boolean): number {
  for (let length = path.length; length >= 0; length--) {
    const steps = path.slice(0, length);
    const parent = length === 0 ? null : document.getIn(steps.slice(0, -1), true);
    if (ofKey && isMap(parent)) {
      const pair = parent.items.find(({ key }) => String(key) === String(steps.at(-1)));
      if (isNode(pair?.key) && pair.key.range) return pair.key.range[0];
    }
    const node = length === 0 ? document.contents : document.getIn(steps, true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.range?.[0] ?? 0;
}

function problemsOf(code: 'yaml_invalid' | 'resource_invalid', problems: readonly FileProblem[]): DomainError {
  const lines = problems.map(({ file, line, column, field, message, allowed }) => {
    const subject = field === '' ? message : `${field}: ${message}`;
    return `${file}:${line}:${column}: ${subject}${allowed ? `; allowed: ${allowed.join(', ')}` : ''}`;
  });
  const [first = ''] = lines;
  const detail = lines.length === 1 ? `${first}.` : `${lines.length} problems:\n${lines.join('\n')}\n`;
  return new DomainError(code, detail, { problems });
}
