import type { ServiceState } from '@sanctum/contracts';

/** Which state the service is in; whoever reports it hears of changes. */
export class StateHolder {
  #current: ServiceState = 'starting';
  readonly #listeners = new Set<(state: ServiceState) => void>();

  get current(): ServiceState {
    return this.#current;
  }

  /** `draining` is final. */
  set(state: ServiceState): void {
    if (this.#current === state || this.#current === 'draining') return;
    this.#current = state;
    for (const listener of this.#listeners) listener(state);
  }

  onChange(listener: (state: ServiceState) => void): void {
    this.#listeners.add(listener);
  }
}
