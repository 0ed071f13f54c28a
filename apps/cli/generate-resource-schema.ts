import { z } from 'zod';
import { Resource } from '../../domain/resources.js';

/** docs/resource.schema.json, for editors: what a YAML document of any kind may hold. */
export function generate(): string {
  const schema = z.toJSONSchema(Resource, { io: 'input', reused: 'inline' });
  return `${JSON.stringify({ title: 'A resource of Eider', ...schema }, null, 2)}\n`;
}
