import { isExpired, keyLine, newKey, readKeys } from '../../domain/keys.js';

const hash = 'a'.repeat(64);
const random = Buffer.alloc(32, 7);

test('a key that was made is read back from its line, which does not hold it', () => {
  const { secret, key } = newKey({ name: 'analysts', projects: 'eider,shop', expiresAt: '2027-01-01' }, random);
  const line = keyLine(key);
  expect(secret).toBe(`eider_${random.toString('base64url')}`);
  expect(line).toMatch(/^analysts sha256:[0-9a-f]{64} eider,shop 2027-01-01T00:00:00\.000000Z$/);
  expect(line).not.toContain(secret.slice('eider_'.length));
  expect(readKeys(`# keys\n\n${line}\r\n`)).toEqual({ keys: [key], mistakes: [] });
});

test('a star is every project, and never is no expiry', () => {
  const { key } = newKey({ name: 'a', projects: '*', expiresAt: null }, random);
  expect(key).toMatchObject({ projects: 'all', expiresAt: null });
  expect(isExpired(key, new Date('9999-01-01'))).toBe(false);
});

test.each([
  ['2026-11-23T10:00:00Z', '2026-11-23T09:59:59.999Z', false],
  ['2026-11-23T10:00:00Z', '2026-11-23T10:00:00.000Z', true],
])('a key that ends at %s has expired at %s: %s', (expiresAt, now, expired) => {
  expect(isExpired(newKey({ name: 'a', projects: '*', expiresAt }, random).key, new Date(now))).toBe(expired);
});

test.each([
  [`a sha256:${hash} eider`, 'it has 3 words, not NAME HASH PROJECTS EXPIRY'],
  [`Ann sha256:${hash} eider never`, 'the name must be lower case letters'],
  [`anonymous sha256:${hash} eider never`, 'the name must not be what callers without a key are called'],
  [`a ${hash} eider never`, 'the hash must begin with sha256:'],
  ['a sha256:abc eider never', 'the hash must be 64 hex digits'],
  [`a sha256:${hash} No,way never`, 'the projects must be lower case letters'],
  [`a sha256:${hash} eider soon`, 'the expiry must be an instant, or never'],
])('the line "%s" is told by its number, the others stand', (line, mistake) => {
  const { keys, mistakes } = readKeys(`b sha256:${hash} * never\n${line}`);
  expect(keys.map(({ name }) => name)).toEqual(['b']);
  expect(mistakes).toEqual([expect.stringContaining(`line 2: ${mistake}`)]);
});

test('of two lines with one name the first stands', () => {
  const { keys, mistakes } = readKeys(`a sha256:${hash} eider never\na sha256:${hash} * never`);
  expect(keys).toHaveLength(1);
  expect(mistakes).toEqual(['line 2: the name is taken']);
});
