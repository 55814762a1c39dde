import type { IncomingMessage } from 'node:http';
import type { Admitted } from '@sanctum/service-kit';

const admitted = new WeakMap<IncomingMessage, Admitted>();

/** Keeps who sent a request, from the hook that let it in to the route that answers it. */
export function remember(request: IncomingMessage, visitor: Admitted): void {
  admitted.set(request, visitor);
}

export function admittedOf(request: IncomingMessage): Admitted {
  const known = admitted.get(request);
  if (known === undefined) throw new Error('a request came past the guard');
  return known;
}
