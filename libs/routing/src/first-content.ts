import { parseObject } from './parse-object.js';
import { EventStreamDecoder } from './event-stream.js';

/**
 * What an event stream has shown so far: `waiting` for content, `content` (or a finish reason) seen,
 * `error` event before any content, `done` without content.
 */
export type StreamVerdict = 'waiting' | 'content' | 'error' | 'done';

const DONE = '[DONE]';

/** Bytes of an event stream in, verdict out: for chat, completions, responses and messages. */
export class FirstContentDetector {
  #verdict: StreamVerdict = 'waiting';
  readonly #decoder = new EventStreamDecoder();

  get verdict(): StreamVerdict {
    return this.#verdict;
  }

  /** Reads on until the first verdict other than `waiting`, which is final. */
  push(chunk: Uint8Array): StreamVerdict {
    if (this.#verdict !== 'waiting') return this.#verdict;
    for (const { name, data } of this.#decoder.push(chunk)) {
      this.#verdict = judgeEvent(name, data);
      if (this.#verdict !== 'waiting') break;
    }
    return this.#verdict;
  }
}

interface Delta {
  readonly content?: unknown;
  readonly reasoning_content?: unknown;
  readonly reasoning?: unknown;
  readonly refusal?: unknown;
  readonly tool_calls?: unknown;
  readonly function_call?: unknown;
  readonly audio?: unknown;
}

interface StreamChoice {
  readonly delta?: Delta | null;
  readonly text?: unknown;
  readonly finish_reason?: unknown;
}

/** Verdict of one event: the first non-empty delta or a finish reason is content. */
function judgeEvent(eventName: string, data: string): StreamVerdict {
  if (data === DONE) return 'done';
  const event = parseObject(data);
  if (event === undefined) return 'waiting';
  if (eventName === 'error' || holds(event['error'])) return 'error';
  const { choices, type } = event;
  if (typeof type === 'string') return judgeTyped(type, event);
  if (!Array.isArray(choices)) return 'waiting';
  return (choices as (StreamChoice | null)[]).some(hasContent) ? 'content' : 'waiting';
}

/** Events that end or fill an answer of `/v1/responses` or `/v1/messages`. */
const TYPED_CONTENT =
  /^response\.(completed|incomplete|cancelled|(output_text|refusal|reasoning_text|reasoning_summary_text|function_call_arguments|custom_tool_call_input)\.delta)$|^(content_block_delta|message_stop)$/;

function judgeTyped(type: string, event: Record<string, unknown>): StreamVerdict {
  if (type === 'error' || type === 'response.failed') return 'error';
  if (TYPED_CONTENT.test(type)) return 'content';
  const part = type === 'content_block_start' ? event['content_block'] : event['item'];
  const isCall = /^(tool_use|function_call|custom_tool_call)$/.test(typeOf(part));
  return isCall ? 'content' : 'waiting';
}

function typeOf(value: unknown): string {
  const type = (value as { type?: unknown } | null | undefined)?.type;
  return typeof type === 'string' ? type : '';
}

function hasContent(choice: StreamChoice | null): boolean {
  if (choice === null || typeof choice !== 'object') return false;
  const { delta, text, finish_reason: finishReason } = choice;
  return (
    holds(finishReason) || holds(text) || (holds(delta) && Object.values(parts(delta)).some(holds))
  );
}

function parts(delta: Delta | null | undefined): Delta {
  const { content, reasoning_content, reasoning, refusal, tool_calls, function_call, audio } =
    delta ?? {};
  return { content, reasoning_content, reasoning, refusal, tool_calls, function_call, audio };
}

/** A non-empty string, array or object. */
function holds(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}
