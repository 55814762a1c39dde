import { check, create, NativeObject } from './handle.js';
import type { Handle } from './native-structs.js';
import type { NativeLibrary } from './native.js';

/** The caches of one token sequence: pages of keys and values, recurrent and convolution state. */
export class Sequence extends NativeObject {
  private constructor(native: NativeLibrary, handle: Handle) {
    super(native, handle);
  }

  static create(native: NativeLibrary, program: Handle): Sequence {
    const handle = create(native, 'sequence', (out) => native.sk_sequence_create(program, out));
    return new Sequence(native, handle);
  }

  /** A second sequence with the same content: pages shared copy-on-write, state copied. */
  fork(): Sequence {
    const { native, handle } = this;
    const forked = create(native, 'fork', (out) => native.sk_sequence_fork(handle, out));
    return new Sequence(native, forked);
  }

  /** Tokens taken in so far. */
  get length(): number {
    const out = new BigUint64Array(1);
    check(this.native, this.native.sk_sequence_length(this.handle, out), 'sequence length');
    return Number(out[0]);
  }

  protected release(): number {
    return this.native.sk_sequence_free(this.handle);
  }
}
