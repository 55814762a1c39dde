import type { ChatUsage } from '../chat-answer.js';
import type { AnswerStamp } from '../translation.js';
import type { ResponsesRequest } from './request-schema.js';

export type ResponseStatus = 'in_progress' | 'completed' | 'incomplete' | 'failed';

export interface ResponseState {
  readonly status: ResponseStatus;
  readonly output: readonly object[];
  readonly model?: string | undefined;
  readonly usage?: ChatUsage | undefined;
  readonly incomplete?: 'max_output_tokens' | 'content_filter' | undefined;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A `response` object: what was asked for, and how far it has come. */
export function responseObject(
  request: ResponsesRequest,
  stamp: AnswerStamp,
  state: ResponseState,
): object {
  return {
    id: `resp_${stamp.id}`,
    object: 'response',
    created_at: stamp.createdS,
    status: state.status,
    error: state.error ?? null,
    incomplete_details: state.incomplete === undefined ? null : { reason: state.incomplete },
    model: state.model ?? stamp.model,
    output: state.output,
    usage: state.usage === undefined ? null : responseUsage(state.usage),
    ...NEVER,
    ...asked(request),
  };
}

const NEVER = {
  background: false,
  previous_response_id: null,
  store: false,
  truncation: 'disabled',
} as const;

/** The request's own words, with the defaults spelled out. */
function asked(request: ResponsesRequest): object {
  const { text, tools } = request;
  return {
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    reasoning: { effort: null, summary: null, ...request.reasoning },
    temperature: request.temperature ?? null,
    text: { ...text, format: text?.format ?? { type: 'text' } },
    tool_choice: request.tool_choice ?? 'auto',
    tools: tools?.map((tool) => ({ parameters: null, strict: null, ...tool })) ?? [],
    top_p: request.top_p ?? null,
    metadata: request.metadata ?? {},
  };
}

function responseUsage(usage: ChatUsage): object {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens } = usage;
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}
