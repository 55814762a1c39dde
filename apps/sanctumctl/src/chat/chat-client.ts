import type { ChatCompletionChunk, ChatMessage } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import { readEvents } from './sse.js';

export interface ChatOptions {
  /** Origin of the router, without a path. */
  readonly router: string;
  readonly model: string | undefined;
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ChatAnswer {
  readonly text: string;
  readonly finishReason: string | null;
}

/**
 * Asks the router and gives each piece of the answer to `onText` as it comes.
 *
 * @throws SanctumError `upstream_failed` with what the router said, or that it cannot be reached
 */
export async function streamChat(
  messages: readonly ChatMessage[],
  options: ChatOptions,
  onText: (piece: string) => void,
): Promise<ChatAnswer> {
  const body = await post(messages, options);
  let text = '';
  let finishReason: string | null = null;
  for await (const data of readEvents(whole(body))) {
    const chunk = parseChunk(data);
    const [choice] = chunk.choices;
    const piece = choice?.delta.content ?? '';
    if (piece !== '') {
      text += piece;
      onText(piece);
    }
    finishReason = choice?.finish_reason ?? finishReason;
  }
  if (finishReason === null) {
    throw new SanctumError('upstream_failed', 'The answer broke off before its end.');
  }
  return { text, finishReason };
}

/** A connection that dies is told in our words. */
async function* whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new SanctumError('upstream_failed', `The answer broke off: ${causeOf(error)}.`, {
      cause: error,
    });
  }
}

async function post(
  messages: readonly ChatMessage[],
  options: ChatOptions,
): Promise<AsyncIterable<Uint8Array>> {
  const url = `${options.router}/v1/chat/completions`;
  const body = JSON.stringify({
    model: options.model,
    messages,
    stream: true,
    max_tokens: options.maxTokens,
    temperature: options.temperature,
  });
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    throw new SanctumError(
      'upstream_failed',
      `${url} cannot be reached (${causeOf(error)}). Start Sanctum with \`sanctumctl up\`.`,
      { cause: error },
    );
  }
  if (!response.ok || response.body === null) {
    throw refusal(`${url} answered ${response.status}`, await response.text());
  }
  return response.body;
}

function parseChunk(data: string): ChatCompletionChunk {
  const value: unknown = JSON.parse(data);
  if (typeof value === 'object' && value !== null && 'error' in value) {
    throw refusal('The answer ended with an error', data);
  }
  return value as ChatCompletionChunk;
}

function refusal(what: string, body: string): SanctumError {
  return new SanctumError('upstream_failed', `${what}: ${errorMessage(body)}`);
}

function errorMessage(body: string): string {
  try {
    const value: unknown = JSON.parse(body);
    const { error } = value as { error?: { message?: unknown; source?: unknown } };
    return typeof error?.message === 'string'
      ? `${error.message} (source: ${String(error.source)})`
      : body;
  } catch {
    return body;
  }
}

/** fetch hides the reason in its cause. */
function causeOf(error: unknown): string {
  const hidden = typeof error === 'object' && error !== null && 'cause' in error;
  return messageOf(hidden ? error.cause : error);
}
