import { SanctumError } from '@sanctum/errors';
import { readChatCompletion, type ChatPiece, type ChatUsage } from '../chat-answer.js';
import { isJson } from '../is-json.js';
import { ToolCallBook } from '../tool-calls.js';
import type { AnswerStamp } from '../translation.js';

export type StopReason = 'end_turn' | 'max_tokens' | 'stop_sequence' | 'tool_use' | 'refusal';

export interface MessageStop {
  readonly stop_reason: StopReason;
  readonly stop_sequence: string | null;
}

/** What a request says of its answer. */
export interface AnswerWishes {
  readonly stopSequences: readonly string[];
  /** False where thinking was disabled; a backend may think all the same. */
  readonly thoughts: boolean;
}

/** A whole chat completion as an Anthropic `message`. */
export function chatToMessage(
  completion: unknown,
  stamp: AnswerStamp,
  { stopSequences, thoughts }: AnswerWishes,
): object {
  const piece = readChatCompletion(completion);
  const content = [
    ...(thoughts && piece.reasoning !== ''
      ? [{ type: 'thinking', thinking: piece.reasoning, signature: '' }]
      : []),
    ...(said(piece) === '' ? [] : [{ type: 'text', text: said(piece), citations: null }]),
    ...toolUses(piece, stamp),
  ];
  const calledTools = piece.toolCalls.length > 0;
  return {
    ...messageHead(stamp, piece.model),
    content,
    ...stopOf(piece, { calledTools, stopSequences }),
    usage: messageUsage(piece.usage),
  };
}

export function messageHead(stamp: AnswerStamp, model: string | undefined): object {
  const id = `msg_${stamp.id}`;
  return { id, type: 'message', role: 'assistant', model: model ?? stamp.model };
}

/** Text and refusal: a message has one place for both. */
export function said(piece: ChatPiece): string {
  return piece.content + piece.refusal;
}

export function toolUseId(stamp: AnswerStamp): (ordinal: number) => string {
  return (ordinal) => `toolu_${stamp.id}_${ordinal}`;
}

/** Some servers say `stop` after a tool call; the call decides. */
export function stopOf(
  { finish, matchedStop, refusal }: Pick<ChatPiece, 'finish' | 'matchedStop' | 'refusal'>,
  seen: { readonly calledTools: boolean; readonly stopSequences: readonly string[] },
): MessageStop {
  if (finish === 'length') return { stop_reason: 'max_tokens', stop_sequence: null };
  if (finish === 'content_filter' || refusal !== '') {
    return { stop_reason: 'refusal', stop_sequence: null };
  }
  if (seen.calledTools || finish === 'tool_calls') {
    return { stop_reason: 'tool_use', stop_sequence: null };
  }
  if (matchedStop !== undefined && seen.stopSequences.includes(matchedStop)) {
    return { stop_reason: 'stop_sequence', stop_sequence: matchedStop };
  }
  return { stop_reason: 'end_turn', stop_sequence: null };
}

/** Tokens read from a cache are not input tokens here. Zero where the upstream did not count. */
export function messageUsage(usage: ChatUsage | undefined): object {
  const cached = usage?.cachedTokens ?? 0;
  return {
    input_tokens: Math.max(0, (usage?.promptTokens ?? 0) - cached),
    output_tokens: usage?.completionTokens ?? 0,
    cache_creation_input_tokens: null,
    cache_read_input_tokens: cached,
  };
}

/**
 * What a stream says of usage at its end. Where the upstream did not count, input is null, as its
 * schema allows, and output, which must be a number, is about right: one delta is about one token.
 */
export function deltaUsage(usage: ChatUsage | undefined, deltas: number): object {
  if (usage !== undefined) return messageUsage(usage);
  return {
    input_tokens: null,
    output_tokens: deltas,
    cache_creation_input_tokens: null,
    cache_read_input_tokens: null,
  };
}

/**
 * A call that the limit of tokens cut off is left out: its input would have to be made up, and
 * `max_tokens` says that the answer is not whole.
 */
function toolUses(piece: ChatPiece, stamp: AnswerStamp): object[] {
  const book = new ToolCallBook(toolUseId(stamp));
  return piece.toolCalls.flatMap((call) => {
    const news = book.push(call);
    if (news?.opened === undefined) return [];
    if (piece.finish === 'length' && !isJson(news.arguments)) return [];
    const input = parseInput(news.opened.name, news.arguments);
    return [{ type: 'tool_use', id: news.opened.id, name: news.opened.name, input }];
  });
}

function parseInput(name: string, text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new SanctumError(
      'upstream_failed',
      `The upstream called the tool "${name.slice(0, 64)}" with arguments that are not JSON.`,
      { cause: error },
    );
  }
}
