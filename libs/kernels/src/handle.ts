import { SanctumError, type ErrorCode } from '@sanctum/errors';
import type { Handle } from './native-structs.js';
import type { NativeLibrary } from './native.js';

const OUT_OF_MEMORY = 3;
const NOT_FINITE = 8;

/** Turns a status of the library into an error that carries the library's own message. */
export function check(native: NativeLibrary, status: number, what: string): void {
  if (status === 0) return;
  if (status === NOT_FINITE) {
    throw new SanctumError(
      'model_invalid',
      `The weights do not compute (${what}: ${native.sk_last_error()}). ` +
        'They are damaged, or were made wrongly: take the model from its source again.',
    );
  }
  const code: ErrorCode = status === OUT_OF_MEMORY ? 'out_of_memory' : 'kernel';
  throw new SanctumError(code, `${what}: ${native.sk_last_error()} (status ${status})`);
}

/** Runs a call that returns a new handle through its last parameter. */
export function create(
  native: NativeLibrary,
  what: string,
  call: (out: BigUint64Array) => number,
): Handle {
  const out = new BigUint64Array(1);
  check(native, call(out), what);
  return Number(out[0]);
}

/** Something the library owns. Freed once; later uses are refused by the library. */
export abstract class NativeObject implements Disposable {
  #freed = false;

  protected constructor(
    protected readonly native: NativeLibrary,
    /** Handle in the C library; stays the same after free(), so that misuse is reported there. */
    readonly handle: Handle,
  ) {}

  protected abstract release(): number;

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    check(this.native, this.release(), 'free');
  }

  [Symbol.dispose](): void {
    this.free();
  }
}
