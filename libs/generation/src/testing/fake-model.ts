import { SanctumError } from '@sanctum/errors';
import type {
  CausalModel,
  ModelInfo,
  ModelSequence,
  NativeSampling,
  SampledToken,
  StepSpan,
} from '../causal-model.js';
import { sampleReference } from './reference-sampler.js';

export interface FakeModelOptions {
  readonly vocabSize: number;
  readonly eosTokenId: number;
  readonly contextLength?: number;
  readonly stepTokensMax?: number;
  readonly cacheBytesMax?: number;
  /** Adds to the logit of end-of-sequence: how soon answers end by themselves. */
  readonly eosBias?: number;
}

const BYTES_PER_TOKEN = 1;
const BYTES_PER_SEQUENCE = 10;

/**
 * A causal model whose logits are a hash of everything a sequence has taken in, so that any token
 * fed twice, lost, or given to another sequence changes what follows. It throws where a caller
 * breaks the contract of CausalModel.
 */
export class FakeModel implements CausalModel {
  readonly info: ModelInfo;
  /** Throws instead of stepping when it returns an error for a step's spans. */
  failWith: (spans: readonly StepSpan[]) => Error | undefined = () => undefined;
  readonly #options: FakeModelOptions;
  readonly #live = new Set<FakeSequence>();
  #rows: number[] = [];
  steps = 0;

  constructor(options: FakeModelOptions) {
    this.#options = options;
    this.info = {
      modelType: 'fake',
      vocabSize: options.vocabSize,
      contextLength: options.contextLength ?? 4096,
      eosTokenIds: [options.eosTokenId],
      parameterCount: 0,
      cacheBytesPerToken: BYTES_PER_TOKEN,
      cacheBytesPerSequence: BYTES_PER_SEQUENCE,
    };
  }

  get liveSequences(): number {
    return this.#live.size;
  }

  createSequence(): ModelSequence {
    return this.#track(new FakeSequence(this.#live, { length: 0, state: 2166136261 }));
  }

  step(spans: readonly StepSpan[]): void {
    const failure = this.failWith(spans);
    if (failure !== undefined) throw failure;
    this.#assertSpans(spans);
    this.steps += 1;
    this.#rows = [];
    for (const { sequence, tokens, logits } of spans) {
      const fake = this.#own(sequence);
      for (const token of tokens) fake.take(token);
      if (logits === 'all') throw new Error('the scheduler never asks for all logits');
      if (logits === 'last') this.#rows.push(fake.state);
    }
    this.#assertMemory();
  }

  sample(row: number, params: NativeSampling): SampledToken {
    return sampleReference(this.readLogits(row), params);
  }

  readLogits(row: number): Float32Array {
    const state = this.#rows[row];
    if (state === undefined) throw new Error(`row ${row} was not asked for`);
    const { vocabSize, eosTokenId, eosBias = 0 } = this.#options;
    let value = state;
    const logits = Float32Array.from({ length: vocabSize }, (_, token) => {
      value = Math.imul(value ^ token, 2246822519) ^ (value >>> 13);
      return ((value >>> 8) / 2 ** 24) * 8;
    });
    logits[eosTokenId] = (logits[eosTokenId] ?? 0) + eosBias;
    return logits;
  }

  free(): void {
    this.#live.clear();
  }

  #track(sequence: FakeSequence): FakeSequence {
    this.#live.add(sequence);
    return sequence;
  }

  #own(sequence: ModelSequence): FakeSequence {
    if (!(sequence instanceof FakeSequence) || !this.#live.has(sequence)) {
      throw new Error('a freed or foreign sequence was stepped');
    }
    return sequence;
  }

  #assertSpans(spans: readonly StepSpan[]): void {
    const total = spans.reduce((sum, { tokens }) => sum + tokens.length, 0);
    if (total === 0 || spans.some(({ tokens }) => tokens.length === 0))
      throw new Error('no tokens');
    if (total > (this.#options.stepTokensMax ?? 256)) throw new Error(`a step of ${total} tokens`);
    if (new Set(spans.map(({ sequence }) => sequence)).size !== spans.length) {
      throw new Error('a sequence has two spans');
    }
    for (const { sequence, tokens } of spans) {
      this.#own(sequence);
      if (tokens.some((token) => token < 0 || token >= this.info.vocabSize)) {
        throw new Error('a token outside the vocabulary');
      }
      if (sequence.length + tokens.length > this.info.contextLength) {
        throw new Error('a sequence beyond the context');
      }
    }
  }

  #assertMemory(): void {
    let bytes = 0;
    for (const { length } of this.#live) bytes += BYTES_PER_SEQUENCE + length * BYTES_PER_TOKEN;
    if (bytes > (this.#options.cacheBytesMax ?? Number.POSITIVE_INFINITY)) {
      throw new SanctumError('out_of_memory', `caches of ${bytes} bytes`);
    }
  }
}

class FakeSequence implements ModelSequence {
  readonly #live: Set<FakeSequence>;
  length: number;
  state: number;

  constructor(live: Set<FakeSequence>, past: { length: number; state: number }) {
    this.#live = live;
    this.length = past.length;
    this.state = past.state;
  }

  take(token: number): void {
    this.state = Math.imul(this.state ^ (token + 1), 16777619) >>> 0;
    this.length += 1;
  }

  fork(): ModelSequence {
    const copy = new FakeSequence(this.#live, this);
    this.#live.add(copy);
    return copy;
  }

  free(): void {
    if (!this.#live.delete(this)) throw new Error('a sequence was freed twice');
  }
}
