import { DomainError } from '../../domain/errors.js';
import { kinds, type Kind } from '../../domain/resources.js';

/** `FeatureView`, `featureview`, `featureviews`: people write kinds in many ways. Throws `request_invalid` with the kinds there are. */
export function kindOf(text: string): Kind {
  const found = findKind(text);
  if (found) return found;
  throw new DomainError('request_invalid', `"${text}" is not a kind; the kinds are ${kinds.join(', ')}.`, { kinds });
}

export function findKind(text: string): Kind | null {
  const plain = plainName(text);
  return kinds.find((kind) => plainName(kind) === plain) ?? null;
}

/** Lower case, singular, without - and _: how names of kinds and lists are compared. */
export function plainName(text: string): string {
  const plain = text.toLowerCase().replace(/[-_]/g, '');
  if (plain.endsWith('ies')) return `${plain.slice(0, -3)}y`;
  return plain.endsWith('aliases') ? plain.slice(0, -2) : plain.replace(/s$/, '');
}
