import { SanctumError } from '@sanctum/errors';
import type { FinishReason } from '@sanctum/contracts';

export interface ChatUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
}

/** A part of one tool call; servers differ in which of these they send, and how often. */
export interface ToolCallPiece {
  readonly index: number | undefined;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly arguments: string;
}

/** What one chunk, or one whole completion, says about its first choice. */
export interface ChatPiece {
  readonly model: string | undefined;
  readonly content: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly toolCalls: readonly ToolCallPiece[];
  readonly finish: FinishReason | undefined;
  /** The stop sequence that ended it, where the server tells. */
  readonly matchedStop: string | undefined;
  readonly usage: ChatUsage | undefined;
}

/**
 * Reads a `chat.completion.chunk`, leniently: what is absent or of another type is read as empty.
 * Throws `upstream_failed` for what has neither choices nor usage.
 */
export function readChatChunk(value: unknown): ChatPiece {
  return readPiece(value, 'delta');
}

/** The same for a whole `chat.completion`, which must have a choice. */
export function readChatCompletion(value: unknown): ChatPiece {
  const choices = record(value)['choices'];
  if (!Array.isArray(choices) || choices.length === 0) throw notChat('no choices');
  return readPiece(value, 'message');
}

/** The message of a whole answer with each of its calls at an index of its own, whatever it said. */
export function withCallsApart(message: unknown): unknown {
  const { tool_calls: calls, ...said } = record(message);
  if (!Array.isArray(calls)) return message;
  const apart = calls.map((call: unknown, index) => ({ ...record(call), index }));
  return { ...said, tool_calls: apart };
}

function readPiece(value: unknown, field: 'delta' | 'message'): ChatPiece {
  const chunk = record(value);
  const { choices, usage } = chunk;
  if (!Array.isArray(choices) && usage === undefined) throw notChat('no choices');
  const choice = record(Array.isArray(choices) ? (choices as unknown[])[0] : undefined);
  const said = record(field === 'message' ? withCallsApart(choice[field]) : choice[field]);
  return {
    model: textOf(chunk['model']),
    content: joined(said['content']),
    reasoning: joined(said['reasoning_content']) || joined(said['reasoning']),
    refusal: joined(said['refusal']),
    toolCalls: Array.isArray(said['tool_calls']) ? said['tool_calls'].map(readToolCall) : [],
    finish: readFinish(choice['finish_reason']),
    matchedStop: textOf(choice['stop_reason']) ?? textOf(choice['matched_stop']),
    usage: readUsage(usage),
  };
}

function readToolCall(value: unknown): ToolCallPiece {
  const call = record(value);
  const { name, arguments: given } = record(call['function']);
  const isText = typeof given === 'string' || given === undefined || given === null;
  return {
    index: typeof call['index'] === 'number' ? call['index'] : undefined,
    id: textOf(call['id']),
    name: textOf(name),
    arguments: isText ? (given ?? '') : JSON.stringify(given),
  };
}

/** Servers have reasons of their own (`eos`, `tool_use`, `max_tokens`); empty means not finished. */
function readFinish(value: unknown): FinishReason | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  switch (value) {
    case 'length':
    case 'max_tokens':
      return 'length';
    case 'tool_calls':
    case 'tool_use':
    case 'function_call':
      return 'tool_calls';
    case 'content_filter':
    case 'refusal':
      return 'content_filter';
    default:
      return 'stop';
  }
}

function readUsage(value: unknown): ChatUsage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const usage = record(value);
  return {
    promptTokens: numberOf(usage['prompt_tokens']),
    completionTokens: numberOf(usage['completion_tokens']),
    cachedTokens: numberOf(record(usage['prompt_tokens_details'])['cached_tokens']),
    reasoningTokens: numberOf(record(usage['completion_tokens_details'])['reasoning_tokens']),
  };
}

/** Text, or the text parts of a list. */
function joined(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return '';
  return value.map((part: unknown) => textOf(record(part)['text']) ?? '').join('');
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}

function notChat(why: string): SanctumError {
  return new SanctumError(
    'upstream_failed',
    `The upstream's answer is no chat completion: ${why}.`,
  );
}
