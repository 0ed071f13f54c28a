/** Who did it: on every edge, audit row and Update. */
export interface Principal {
  readonly name: string;
}
export const anonymous: Principal = { name: 'anonymous' };
