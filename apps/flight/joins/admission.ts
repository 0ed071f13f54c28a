import { DomainError } from '../../../domain/errors.js';

/** Takes one of a number of places, and answers what lets it go. Throws `streams_exhausted`. */
export type Admission = () => () => void;

export function createAdmission(max: number): Admission {
  let open = 0;
  return () => {
    if (open >= max)
      throw new DomainError('streams_exhausted', `${open} uploads and exchanges are open, which is the limit.`, {
        open,
      });
    open++;
    return () => void open--;
  };
}
