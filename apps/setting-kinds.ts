import { z } from 'zod';
import { ResourceNameSchema } from '../domain/names.js';

/** What the value of a setting can be. */

const portMax = 65_535;
export const text = z.string().min(1);
export const wholeNumber = z.string().regex(/^\d+$/, 'is not a whole number').transform(Number);
export const port = wholeNumber.refine((value) => value >= 1 && value <= portMax, `is not a port from 1 to ${portMax}`);
export const hostAndPort = z.string().regex(/^[^\s:/]+:\d{1,5}$/, 'is not of the form HOST:PORT');
export const urlOf = (...schemes: string[]) =>
  z.string().refine((value) => URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1)), {
    error: `is not a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
  });

const sizeUnits = {
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
} as const;
/** In bytes. */
export const size = z
  .string()
  .regex(/^(0|\d{1,6} ?[KMGT]i?B)$/i, 'is not a size such as 4GB or 512MiB, or 0')
  .transform((value) => {
    const unit = value.replace(/^[\d ]+/, '').toUpperCase() as keyof typeof sizeUnits;
    return Number.parseInt(value, 10) * (sizeUnits[unit] ?? 1);
  });

export const connections = z
  .string()
  .transform((value, context): unknown => {
    try {
      return JSON.parse(value);
    } catch {
      context.addIssue({ code: 'custom', message: 'is not JSON' });
      return z.NEVER;
    }
  })
  .pipe(z.record(ResourceNameSchema, urlOf('postgresql', 'postgres'), 'is not an object of names and URLs'));
