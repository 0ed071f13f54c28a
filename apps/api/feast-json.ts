/** Strings, so that nothing within them is taken for a number; numbers; and what Python writes for those that are none. */
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|-?Infinity|NaN/gs;
const unusual = /\d{16}|Infinity|NaN/;

/**
 * JSON as Python reads and writes it: whole numbers beyond 2^53 keep all their digits, as text, and NaN and infinities are
 * text too. Else a key of 64 bits would be rounded and find another entity's row. Throws `SyntaxError`.
 */
export function parsePythonJson(text: string): unknown {
  const exact = unusual.test(text) ? text.replace(tokens, exactToken) : text;
  if (!exact.includes('__proto__')) return JSON.parse(exact);
  return JSON.parse(exact, (key, value: unknown) => (key === '__proto__' ? undefined : value));
}

function exactToken(token: string): string {
  if (token.startsWith('"')) return token;
  const whole = /^-?\d{16,}$/.test(token);
  return (whole && !Number.isSafeInteger(Number(token))) || /[NI]/.test(token) ? `"${token}"` : token;
}
