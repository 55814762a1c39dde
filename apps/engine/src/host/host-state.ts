import { SanctumError } from '@sanctum/errors';

export type HostState = 'loading' | 'ready' | 'restarting' | 'draining' | 'stopped';

/** Throws `loading` or `draining` while requests cannot be taken. */
export function assertServing(state: HostState): void {
  switch (state) {
    case 'ready':
      return;
    case 'loading':
    case 'restarting':
      throw new SanctumError('loading', 'The model is being loaded. Try again in a moment.', {
        retryAfterS: 2,
      });
    case 'draining':
    case 'stopped':
      throw new SanctumError('draining', 'The engine is shutting down.', { retryAfterS: 5 });
  }
}
