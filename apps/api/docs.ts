import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { errorTable, type ErrorCode } from '../../domain/errors.js';
import { defaultProject } from '../../domain/ids.js';
import { problemType } from './problem.js';

const ProblemSchema = z
  .object({
    type: z.string().describe('urn:eider:error:CODE'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What is wrong in this case.'),
    code: z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]),
    help: z.string().describe('What to do next.'),
    retry: z.boolean().describe('Whether the same call may succeed later without anybody changing anything.'),
    data: z.record(z.string(), z.unknown()),
    requestId: z.string(),
  })
  .describe('RFC 9457');

/** What every project route and every POST takes. */
const parameters: Record<string, object> = {
  Project: {
    name: 'project',
    in: 'path',
    required: true,
    description: 'The project.',
    schema: { type: 'string', default: defaultProject },
  },
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: 'The request is done once under this key; every repeat gets the first answer.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  },
};

interface Operation {
  parameters: object[];
  responses: Record<string, { description: string }>;
}

/** The description of all routes, made from the schemas that check the requests. */
export function describeApi(app: NestFastifyApplication): OpenAPIObject {
  const about = new DocumentBuilder()
    .setTitle('Eider')
    .setDescription(
      'Every route under /api/v1/projects/{project} also exists without /projects/{project} and then means the project eider. ' +
        'Errors are application/problem+json with a stable code. A POST takes an Idempotency-Key. Lists answer { items, next }; give next as after.',
    )
    .setVersion('1')
    .addGlobalResponse({
      status: 'default',
      description: 'An error',
      content: { [problemType]: { schema: { $ref: '#/components/schemas/Problem' } } },
    } as never)
    .build();
  const document = SwaggerModule.createDocument(app, about, {
    operationIdFactory: (controller, method) => `${controller.replace('Controller', '').toLowerCase()}_${method}`,
  });
  const { $schema: _, ...problem } = z.toJSONSchema(ProblemSchema, { target: 'openapi-3.0' }) as Record<
    string,
    unknown
  >;
  document.components = {
    ...document.components,
    parameters: parameters as never,
    schemas: { ...document.components?.schemas, Problem: problem },
  };
  for (const [path, operations] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(operations as Record<string, Operation>)) {
      const headers = method === 'post' ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : [];
      const inPath = path.includes('{project}') ? [{ $ref: '#/components/parameters/Project' }] : [];
      operation.parameters = [...inPath, ...operation.parameters, ...headers];
      for (const [status, response] of Object.entries(operation.responses))
        response.description ||= status === '202' ? 'Started; the workflow says how it goes.' : 'Done.';
    }
  return document;
}

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Eider API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
  </head>
  <body>
    <div id="ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script>
      SwaggerUIBundle({ url: '/docs-json', dom_id: '#ui' });
    </script>
  </body>
</html>
`;
const assets = { 'swagger-ui.css': 'text/css', 'swagger-ui-bundle.js': 'text/javascript' } as const;

/** `/docs` for people, `/docs-json` for programs. */
export function serveDocs(app: NestFastifyApplication): void {
  const server = app.getHttpAdapter().getInstance();
  let document: OpenAPIObject | undefined;
  server.get('/docs-json', async () => (document ??= describeApi(app)));
  server.get('/docs', async (_, reply) => reply.type('text/html; charset=utf-8').send(page));
  // The files of the UI come with Nest's own package; serving two of them needs no other.
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  for (const [name, type] of Object.entries(assets))
    server.get(`/docs/${name}`, async (_, reply) =>
      reply.type(`${type}; charset=utf-8`).send(await readFile(join(folder, name))),
    );
}
