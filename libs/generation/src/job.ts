import { AnswerText } from './answer-text.js';
import type { ModelSequence, NativeSampling, SampledToken } from './causal-model.js';
import type { Finish, GenerationRequest } from './events.js';
import type { FinishReason } from './request.js';
import type { Tokenizer } from './tokenizer.js';

/** Tokens of prompt and answer that penalties look back on, counted from the end. */
export const PENALTY_HISTORY_MAX = 4096;

export interface JobOptions {
  readonly request: GenerationRequest;
  readonly tokenizer: Tokenizer;
  readonly maxTokens: number;
  readonly seed: bigint;
  readonly atMs: number;
}

/**
 * A request from submission to end. `tokens` is its whole truth, prompt and answer; a sequence is
 * how much of it a model has taken in, and can be given up and built again at any time.
 */
export class Job {
  readonly id: string;
  readonly client: string;
  readonly request: GenerationRequest;
  readonly answer: AnswerText;
  readonly maxTokens: number;
  sequence: ModelSequence | undefined;
  drawn = 0;
  readonly #seed: bigint;
  readonly #submittedMs: number;
  #startedMs: number | undefined;
  #firstTokenMs: number | undefined;
  #tokens: Int32Array;
  #length: number;

  constructor({ request, tokenizer, maxTokens, seed, atMs }: JobOptions) {
    const { options, promptTokens } = request;
    this.id = request.id;
    this.client = request.client;
    this.request = request;
    this.maxTokens = maxTokens;
    this.answer = new AnswerText({
      tokenizer,
      stop: options.stop,
      withReports: options.logprobs !== undefined,
      opensReasoning: request.opensReasoning ?? false,
    });
    this.#seed = seed;
    this.#submittedMs = atMs;
    this.#tokens = promptTokens.slice();
    this.#length = promptTokens.length;
  }

  /** Tokens of prompt and answer so far. */
  get length(): number {
    return this.#length;
  }

  /** Tokens that the model has not taken in. */
  get pending(): number {
    return this.#length - (this.sequence?.length ?? 0);
  }

  /** The next `count` tokens that the model has to take in. */
  nextTokens(count: number): Int32Array {
    const from = this.sequence?.length ?? 0;
    return this.#tokens.slice(from, from + count);
  }

  start(sequence: ModelSequence, atMs: number): void {
    this.sequence = sequence;
    this.#startedMs ??= atMs;
  }

  /** Gives the caches back; the tokens stay, so that a later sequence can take them in again. */
  suspend(): void {
    this.sequence?.free();
    this.sequence = undefined;
  }

  append({ token }: SampledToken, atMs: number): void {
    if (this.#length === this.#tokens.length) {
      const grown = new Int32Array(this.#length * 2 + 16);
      grown.set(this.#tokens);
      this.#tokens = grown;
    }
    this.#tokens[this.#length] = token;
    this.#length += 1;
    this.drawn += 1;
    this.#firstTokenMs ??= atMs;
  }

  /** How to draw the next token. */
  sampling(): NativeSampling {
    const { sampling, logprobs } = this.request.options;
    const hasPenalties =
      sampling.repetitionPenalty !== 1 ||
      sampling.presencePenalty !== 0 ||
      sampling.frequencyPenalty !== 0;
    const from = hasPenalties ? Math.max(0, this.#length - PENALTY_HISTORY_MAX) : this.#length;
    return {
      temperature: sampling.temperature,
      topK: sampling.topK,
      topP: sampling.topP,
      minP: sampling.minP,
      repetitionPenalty: sampling.repetitionPenalty,
      presencePenalty: sampling.presencePenalty,
      frequencyPenalty: sampling.frequencyPenalty,
      logitBias: sampling.logitBias,
      history: this.#tokens.slice(from, this.#length),
      promptCount: Math.max(0, this.request.promptTokens.length - from),
      seed: this.#seed,
      counter: this.drawn,
      topLogprobs: logprobs ?? 0,
    };
  }

  finish(reason: FinishReason, atMs: number): Finish {
    const startedMs = this.#startedMs ?? atMs;
    return {
      reason,
      promptTokens: this.request.promptTokens.length,
      completionTokens: this.drawn,
      cachedTokens: 0,
      queueMs: startedMs - this.#submittedMs,
      firstTokenMs: (this.#firstTokenMs ?? atMs) - this.#submittedMs,
      totalMs: atMs - this.#submittedMs,
    };
  }
}
