import type { z } from 'zod';
import { DomainError } from '../../../domain/errors.js';
import type { FlightDescriptor } from '../protocol.js';

/** A command that is JSON with this member, whatever else is in it; null: it is somebody else's. */
export function commandWith(member: string, { type, cmd }: FlightDescriptor): Record<string, unknown> | null {
  if (type !== 'CMD' || cmd.length > commandBytesMax || cmd[0] !== openingBrace) return null;
  try {
    const command = JSON.parse(cmd.toString()) as Record<string, unknown>;
    return Object.hasOwn(command, member) ? command : null;
  } catch {
    return null;
  }
}

const openingBrace = '{'.charCodeAt(0);
const commandBytesMax = 2 ** 20;

/** Throws `request_invalid`, with every place that does not fit. */
export function parseCommand<Shape extends z.ZodType>(schema: Shape, command: unknown): z.output<Shape> {
  const parsed = schema.safeParse(command);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the command'}: ${message}`);
  throw new DomainError('request_invalid', `${places.join('; ')}.`, { issues: places });
}
