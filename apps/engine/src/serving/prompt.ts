import {
  contentText,
  type ChatCompletionRequest,
  type CompletionRequest,
} from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import type { GenerationOptions } from '@sanctum/generation';
import type { Prompt } from '../protocol.js';

/** No vocabulary has text that packs more than this into a token, over a whole prompt. */
export const PROMPT_BYTES_PER_TOKEN_MAX = 64;

export function chatPrompt(request: ChatCompletionRequest): Prompt {
  return {
    kind: 'chat',
    messages: request.messages,
    enableThinking: request.chat_template_kwargs?.enable_thinking ?? false,
  };
}

export function completionPrompt({ prompt }: CompletionRequest): Prompt {
  return typeof prompt === 'string'
    ? { kind: 'text', text: prompt }
    : { kind: 'tokens', tokens: prompt };
}

/** Refuses by size, before anything is tokenised, what cannot fit whatever its tokens are. */
export function assertPromptFits(prompt: Prompt, contextTokens: number): void {
  const bytesMax = contextTokens * PROMPT_BYTES_PER_TOKEN_MAX;
  const bytes = promptBytes(prompt);
  if (bytes <= bytesMax) return;
  throw new SanctumError(
    'context_length_exceeded',
    `The prompt has ${bytes} bytes; the context of ${contextTokens} tokens cannot hold it.`,
    { param: prompt.kind === 'chat' ? 'messages' : 'prompt' },
  );
}

/** The answer's budget under the operator's limit. Throws `invalid_request` for a larger wish. */
export function limitCompletion(
  options: GenerationOptions,
  tokensMax: number | undefined,
): GenerationOptions {
  if (tokensMax === undefined) return options;
  if (options.maxTokens !== undefined && options.maxTokens > tokensMax) {
    throw new SanctumError(
      'invalid_request',
      `max_tokens: expected at most ${tokensMax}, found ${options.maxTokens}`,
      { param: 'max_tokens' },
    );
  }
  return { ...options, maxTokens: options.maxTokens ?? tokensMax };
}

function promptBytes(prompt: Prompt): number {
  switch (prompt.kind) {
    case 'chat':
      return prompt.messages.reduce(
        (sum, { content }) => sum + Buffer.byteLength(contentText(content)),
        0,
      );
    case 'text':
      return Buffer.byteLength(prompt.text);
    case 'tokens':
      return prompt.tokens.length * PROMPT_BYTES_PER_TOKEN_MAX;
  }
}
