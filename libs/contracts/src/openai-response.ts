export type FinishReason = 'stop' | 'length' | 'content_filter' | 'tool_calls';

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens: number };
}

export interface TopLogprob {
  readonly token: string;
  /** Natural logarithm of the probability. */
  readonly logprob: number;
  /** UTF-8 bytes of the token; null when it has none of its own. */
  readonly bytes: readonly number[] | null;
}

export interface TokenLogprob extends TopLogprob {
  readonly top_logprobs: readonly TopLogprob[];
}

export interface ChoiceLogprobs {
  readonly content: readonly TokenLogprob[] | null;
  readonly refusal?: null;
}

interface Answer<ObjectName extends string, Choice> {
  readonly id: string;
  readonly object: ObjectName;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint?: string;
  readonly choices: readonly Choice[];
}

export interface ChatChoice {
  readonly index: number;
  readonly message: {
    readonly role: 'assistant';
    readonly content: string | null;
    readonly reasoning_content?: string;
    readonly refusal?: null;
  };
  readonly logprobs: ChoiceLogprobs | null;
  readonly finish_reason: FinishReason;
}

export interface ChatCompletion extends Answer<'chat.completion', ChatChoice> {
  readonly usage: Usage;
}

export interface ChatDelta {
  readonly role?: 'assistant';
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly refusal?: string | null;
  readonly tool_calls?: readonly unknown[];
}

export interface ChatChunkChoice {
  readonly index: number;
  readonly delta: ChatDelta;
  readonly logprobs?: ChoiceLogprobs | null;
  readonly finish_reason: FinishReason | null;
}

/** With `include_usage`: null on every chunk but the last, which has no choices. */
export interface ChatCompletionChunk extends Answer<'chat.completion.chunk', ChatChunkChoice> {
  readonly usage?: Usage | null;
}

/** The older form of `/v1/completions`: parallel arrays. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[] | null;
  readonly text_offset: readonly number[];
}

export interface CompletionChoice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: FinishReason | null;
}

/** Whole answers and stream chunks share one shape; `usage` follows the rule of chat chunks. */
export interface Completion extends Answer<'text_completion', CompletionChoice> {
  readonly usage?: Usage | null;
}

export interface ModelEntry {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
}

export interface ModelList {
  readonly object: 'list';
  readonly data: readonly ModelEntry[];
}

/** The last event of a stream that ended well. */
export const SSE_DONE = 'data: [DONE]\n\n';

/** Frames one value as a server-sent event. */
export function sseEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
