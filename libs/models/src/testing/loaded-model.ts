import { GREEDY as PARAMS, type CausalModel, type NativeSampling } from '@sanctum/generation';
import { openKernels, type Context, type ContextOptions } from '@sanctum/kernels';
import { loadModel, type LoadOptions } from '../load-model.js';
import { FIXTURES, ModelFolder } from './model-folder.js';

export const GREEDY: NativeSampling = {
  ...PARAMS,
  history: new Int32Array(),
  promptCount: 0,
  seed: 0n,
  counter: 0,
  topLogprobs: 0,
};

/** A model folder loaded into a context of its own; both freed on dispose. */
export class LoadedModel implements Disposable {
  readonly context: Context;
  readonly model: CausalModel;

  constructor(folder: string, context: ContextOptions, options: LoadOptions = {}) {
    this.context = openKernels().createContext({ threads: 1, ...context });
    try {
      // The files close again at once: a loaded model needs its mappings alone.
      using source = new ModelFolder(folder);
      this.model = loadModel({ files: source.files, context: this.context, options });
    } catch (error) {
      this.context.free();
      throw error;
    }
  }

  static fixture(name: string, context: ContextOptions, options: LoadOptions = {}): LoadedModel {
    return new LoadedModel(`${FIXTURES}/${name}`, context, options);
  }

  [Symbol.dispose](): void {
    this.model.free();
    this.context.free();
  }
}

/** Largest absolute difference. */
export function difference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - (b[i] ?? NaN))), 0);
}
