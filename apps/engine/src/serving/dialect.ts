import type { FinishReason, TokenReport, Finish } from '@sanctum/generation';
import type { Usage } from '@sanctum/contracts';

/** What every object of one answer carries. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
}

/** A piece of an answer: what one step brought, or all of it. */
export interface Piece {
  readonly text: string;
  /** Told apart from `text` by endpoints that can. */
  readonly reasoning: string;
  /** Undefined when the request did not ask. */
  readonly logprobs: readonly TokenReport[] | undefined;
  readonly finish: FinishReason | null;
}

/** One endpoint's way of writing an answer down. Kept per answer: pieces come in order. */
export interface Dialect {
  /** One stream event's object; the first has what opens the answer. `usage` null: it comes later. */
  chunk(piece: Piece, usage: null | undefined): object;
  /** The event after the last piece when the request asked for usage. */
  usageChunk(usage: Usage): object;
  /** The answer as one object. */
  whole(piece: Piece, usage: Usage): object;
}

export function usageOf(finish: Finish): Usage {
  const { promptTokens, completionTokens, cachedTokens } = finish;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
