import type { SanctumError } from '@sanctum/errors';
import type { FinishReason, GenerationOptions, TokenReport } from './request.js';

/** A prompt with what is wanted of its answer. */
export interface GenerationRequest {
  /** Unique among requests that have not ended. */
  readonly id: string;
  /** Whose turn in the fair queue this takes. */
  readonly client: string;
  readonly promptTokens: Int32Array;
  /** The prompt ends inside the model's thoughts: they are told apart from its answer. */
  readonly opensReasoning?: boolean;
  readonly options: GenerationOptions;
}

/** What one step added to one answer. */
export interface Delta {
  readonly id: string;
  /** Text that became certain in this step; may be empty. Never splits a character. */
  readonly text: string;
  /** The same of what the model thinks before it answers; never together with earlier `text`. */
  readonly reasoning?: string;
  /** Ids of the answer's tokens that this text completes; end-of-sequence is not among them. */
  readonly tokens: readonly number[];
  /** One per entry of `tokens`, when the request asked for them. */
  readonly logprobs?: readonly TokenReport[];
  /** The answer's end; nothing follows it. */
  readonly finish?: Finish;
}

export interface Finish {
  readonly reason: FinishReason;
  readonly promptTokens: number;
  /** Every token drawn, end-of-sequence included. */
  readonly completionTokens: number;
  readonly cachedTokens: number;
  /** Waiting in the queue. */
  readonly queueMs: number;
  /** From submission to the first token drawn. */
  readonly firstTokenMs: number;
  /** From submission to the end. */
  readonly totalMs: number;
}

/** Gauges at a step's end, and counters since the start. */
export interface SchedulerStats {
  readonly queued: number;
  readonly running: number;
  /** Bytes reserved for the caches of running requests. */
  readonly cacheBytes: number;
  readonly stepMs: number;
  readonly steps: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Requests that gave their memory to an older one and were computed again. */
  readonly preemptions: number;
  /** Seconds until what waits now has likely been served; at least 1. */
  readonly retryAfterS: number;
}

/** All that one step brought; each request ends in exactly one of the three ways. */
export interface StepEvents {
  readonly deltas: readonly Delta[];
  readonly failed: readonly { readonly id: string; readonly error: SanctumError }[];
  readonly cancelled: readonly string[];
  readonly stats: SchedulerStats;
}
