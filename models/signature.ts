import { DomainError } from '../domain/errors.js';
import type { Signature } from '../domain/serving.js';
import type { ModelTensor } from './messages.js';

/**
 * Holds a model file to its signature: exactly the declared inputs, at least the declared outputs, same datatypes and
 * shapes. A dimension that the file leaves open satisfies any declared size. Throws `model_invalid` with every difference.
 */
export function checkSignature(
  signature: Signature,
  inputs: readonly ModelTensor[],
  outputs: readonly ModelTensor[],
): void {
  const declared = new Set(signature.inputs.map(({ name }) => name));
  const problems = [
    ...signature.inputs.flatMap((tensor) => differences('input', tensor, inputs)),
    ...inputs
      .filter(({ name }) => !declared.has(name))
      .map((extra) => `the file wants an undeclared input ${show(extra)}`),
    ...signature.outputs.flatMap((tensor) => differences('output', tensor, outputs)),
  ];
  if (problems.length === 0) return;
  throw new DomainError('model_invalid', `The model file breaks its signature: ${problems.join('; ')}.`, { problems });
}

function differences(side: 'input' | 'output', declared: ModelTensor, found: readonly ModelTensor[]): string[] {
  const tensor = found.find(({ name }) => name === declared.name);
  if (!tensor) return [`the file has no ${side} "${declared.name}", it has ${found.map(show).join(', ') || 'none'}`];
  const fits =
    tensor.datatype === declared.datatype &&
    tensor.shape.length === declared.shape.length &&
    tensor.shape.every((size, axis) => size === -1 || size === declared.shape[axis]);
  return fits ? [] : [`${side} is ${show(tensor)} in the file, ${show(declared)} in the signature`];
}

const show = ({ name, datatype, shape }: ModelTensor): string => `${name} ${datatype}[${shape.join(',')}]`;
