import type { z } from 'zod';

interface Definition {
  readonly type: string;
  readonly shape?: Record<string, z.core.$ZodType>;
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly discriminator?: string;
  readonly entries?: Record<string, string>;
  readonly values?: readonly unknown[];
}

const definition = (schema: z.core.$ZodType): Definition => schema._zod.def as unknown as Definition;

/** The fields, or for a choice the values, that a schema allows at a path of the data; null when neither is listed there. */
export function allowedAt(schema: z.core.$ZodType, data: unknown, path: readonly PropertyKey[]): string[] | null {
  const { type, shape, element, innerType, in: input, options, discriminator, entries, values } = definition(schema);
  const inner = innerType ?? input;
  if (inner) return allowedAt(inner, data, path);
  if (type === 'union') return allowedInUnion({ options: options ?? [], discriminator }, data, path);
  const [step, ...rest] = path;
  if (step === undefined) {
    if (shape) return Object.keys(shape);
    return entries ? Object.values(entries) : (values?.map(String) ?? null);
  }
  const next = shape?.[String(step)] ?? element;
  return next ? allowedAt(next, (data as Record<PropertyKey, unknown> | null)?.[step], rest) : null;
}

function allowedInUnion(
  { options, discriminator }: { options: readonly z.core.$ZodType[]; discriminator?: string },
  data: unknown,
  path: readonly PropertyKey[],
): string[] | null {
  if (discriminator === undefined) {
    const all = options.flatMap((option) => allowedAt(option, data, path) ?? []);
    return all.length > 0 ? [...new Set(all)] : null;
  }
  const tagOf = (option: z.core.$ZodType) => definition(option).shape?.[discriminator];
  if (path.length === 1 && path[0] === discriminator)
    return options.flatMap((option) => {
      const tag = tagOf(option);
      return tag ? (allowedAt(tag, undefined, []) ?? []) : [];
    });
  const value = (data as Record<string, unknown> | null)?.[discriminator];
  const chosen = options.find((option) => {
    const tag = tagOf(option);
    return tag !== undefined && allowedAt(tag, undefined, [])?.includes(String(value));
  });
  return chosen ? allowedAt(chosen, data, path) : null;
}
