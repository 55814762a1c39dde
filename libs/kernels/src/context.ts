import { FileMap, Tensor, Weight, type QuantizedParts, type TensorLayout } from './data.js';
import { check, create, NativeObject } from './handle.js';
import type { LimitsStruct } from './native-structs.js';
import type { NativeLibrary } from './native.js';
import { Program, type ProgramOptions } from './program.js';

export type ComputeMode = 'exact' | 'fast';
export type IsaName = 'portable' | 'avx2' | 'avx512' | 'amx' | 'neon' | 'neon-dotprod';

/** Byte limits; left out or 0: none. */
export interface KernelLimits {
  /** Key/value pages, recurrent and convolution state, spare pages. */
  readonly cacheBytes?: number;
  /** Everything the library allocates, the cache included. */
  readonly memoryBytes?: number;
  /** Mapped weights locked into memory, as far as the system permits. */
  readonly wiredBytes?: number;
}

export interface ContextOptions {
  /** Default: one per available core. */
  readonly threads?: number;
  readonly mode: ComputeMode;
  /** Default: the best this machine has. Naming one it lacks is an error. */
  readonly isa?: string;
  readonly limits?: KernelLimits;
}

const STATS = [
  'memoryBytes',
  'memoryPeakBytes',
  'cacheBytes',
  'cacheSpareBytes',
  'scratchBytes',
  'mappedBytes',
  'wiredBytes',
  'sequences',
  'pages',
  'steps',
  'tokens',
] as const;

export type KernelStats = Readonly<Record<(typeof STATS)[number], number>>;

const NAME_BYTES = 64;

/** A thread pool, an instruction set, limits, and everything made from them. */
export class Context extends NativeObject {
  readonly mode: ComputeMode;

  constructor(native: NativeLibrary, options: ContextOptions) {
    const struct = {
      threads: options.threads ?? 0,
      mode: options.mode === 'exact' ? 1 : 2,
      isa: options.isa ?? null,
      limits: limitsStruct(options.limits ?? {}),
    };
    super(
      native,
      create(native, 'context', (out) => native.sk_context_create(struct, out)),
    );
    this.mode = options.mode;
  }

  /** Instruction set in use. */
  get isa(): string {
    const name = new Uint8Array(NAME_BYTES);
    check(this.native, this.native.sk_context_isa(this.handle, name, NAME_BYTES), 'isa');
    return textOf(name);
  }

  setLimits(limits: KernelLimits): void {
    const status = this.native.sk_context_limits(this.handle, limitsStruct(limits));
    check(this.native, status, 'limits');
  }

  stats(): KernelStats {
    const values = new BigUint64Array(STATS.length);
    check(this.native, this.native.sk_context_stats(this.handle, values), 'stats');
    const entries = STATS.map((name, index) => [name, Number(values[index])]);
    return Object.fromEntries(entries) as KernelStats;
  }

  /** Returns spare pages and scratch memory to the system. */
  clearCache(): void {
    check(this.native, this.native.sk_context_clear_cache(this.handle), 'clear cache');
  }

  /** Maps the first `length` bytes of an open file; the descriptor may be closed afterwards. */
  mapFile(file: { fd: number; length: number }): FileMap {
    return new FileMap(this.native, this.handle, file);
  }

  tensorView(source: TensorLayout & { map: FileMap; offset: number }): Tensor {
    return Tensor.view(this.native, this.handle, source);
  }

  createTensor(source: TensorLayout & { data: Uint8Array | Float32Array | Uint32Array }): Tensor {
    return Tensor.copy(this.native, this.handle, source);
  }

  denseWeight(tensor: Tensor): Weight {
    return Weight.dense(this.native, this.handle, tensor);
  }

  quantizedWeight(parts: QuantizedParts): Weight {
    return Weight.quantized(this.native, this.handle, parts);
  }

  beginProgram(options: ProgramOptions): Program {
    return Program.begin(this.native, this.handle, options);
  }

  protected release(): number {
    return this.native.sk_context_free(this.handle);
  }
}

function limitsStruct(limits: KernelLimits): LimitsStruct {
  return {
    cache_bytes: limits.cacheBytes ?? 0,
    memory_bytes: limits.memoryBytes ?? 0,
    wired_bytes: limits.wiredBytes ?? 0,
  };
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
