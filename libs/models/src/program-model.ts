import { SanctumError } from '@sanctum/errors';
import type {
  CausalModel,
  ModelInfo,
  ModelSequence,
  NativeSampling,
  SampledToken,
  StepSpan,
} from '@sanctum/generation';
import type { Program, Sequence, Span } from '@sanctum/kernels';

/** A recorded program as a model that a scheduler drives. */
export class ProgramModel implements CausalModel {
  readonly #program: Program;

  constructor(
    program: Program,
    readonly info: ModelInfo,
  ) {
    this.#program = program;
  }

  createSequence(): ModelSequence {
    return new ProgramSequence(this.#program.createSequence());
  }

  /** @throws kernel for bad tokens, lengths or sequences; out_of_memory at a limit */
  step(spans: readonly StepSpan[]): void {
    this.#program.step(spans.map(nativeSpan));
  }

  sample(row: number, params: NativeSampling): SampledToken {
    const { logitBias, ...rest } = params;
    if (logitBias.size === 0) return this.#program.sample(row, rest);
    const tokens = Int32Array.from(logitBias.keys());
    const values = Float32Array.from(logitBias.values());
    return this.#program.sample(row, { ...rest, logitBias: { tokens, values } });
  }

  readLogits(row: number): Float32Array {
    return this.#program.readLogits(row);
  }

  free(): void {
    this.#program.free();
  }
}

class ProgramSequence implements ModelSequence {
  constructor(readonly native: Sequence) {}

  get length(): number {
    return this.native.length;
  }

  fork(): ModelSequence {
    return new ProgramSequence(this.native.fork());
  }

  free(): void {
    this.native.free();
  }
}

function nativeSpan({ sequence, tokens, logits }: StepSpan): Span {
  if (sequence instanceof ProgramSequence) return { sequence: sequence.native, tokens, logits };
  throw new SanctumError('kernel', 'step: a sequence was not made by this model.');
}
