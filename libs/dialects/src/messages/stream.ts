import type { ErrorEnvelope } from '@sanctum/errors';
import type { ChatPiece } from '../chat-answer.js';
import type { PieceSink, StreamEnd } from '../chat-stream.js';
import { ToolCallBook, type ToolCallNews } from '../tool-calls.js';
import { namedEvent, type AnswerStamp } from '../translation.js';
import {
  deltaUsage,
  messageHead,
  messageUsage,
  said,
  stopOf,
  toolUseId,
  type AnswerWishes,
} from './answer.js';
import { messagesError } from './error.js';

interface Block {
  /** `thinking`, `text`, or the ordinal of a tool call. */
  readonly key: 'thinking' | 'text' | number;
  readonly start: object;
  text: string;
}

/**
 * Chat chunks as Anthropic's events. Only one block is open at a time and a closed one never opens
 * again; chat deltas of several tool calls may be interleaved. Once a tool call is open, what
 * belongs to later blocks waits until the end.
 */
export class MessagesEvents implements PieceSink {
  readonly #stamp: AnswerStamp;
  readonly #wishes: AnswerWishes;
  readonly #calls: ToolCallBook;
  #started = false;
  #index = -1;
  #open: Block['key'] | undefined;
  readonly #waiting: Block[] = [];

  constructor(stamp: AnswerStamp, wishes: AnswerWishes) {
    this.#stamp = stamp;
    this.#wishes = wishes;
    this.#calls = new ToolCallBook(toolUseId(stamp));
  }

  onPiece(piece: ChatPiece): string {
    let out = this.#start(piece.model);
    if (this.#wishes.thoughts && piece.reasoning !== '')
      out += this.#say('thinking', piece.reasoning);
    if (said(piece) !== '') out += this.#say('text', said(piece));
    for (const call of piece.toolCalls) {
      const news = this.#calls.push(call);
      if (news !== undefined) out += this.#tool(news);
    }
    return out;
  }

  onEnd(end: StreamEnd): string {
    let out = this.#start(undefined) + this.#close();
    for (const block of this.#waiting) {
      out += this.#openBlock(block) + this.#delta(block.key, block.text) + this.#close();
    }
    const { stopSequences } = this.#wishes;
    const seen = { calledTools: !this.#calls.isEmpty, stopSequences };
    const usage = deltaUsage(end.usage, end.deltas);
    out += namedEvent('message_delta', { delta: stopOf(end, seen), usage });
    return out + namedEvent('message_stop');
  }

  onFailure(error: ErrorEnvelope['error']): string {
    return namedEvent('error', messagesError(error));
  }

  #start(model: string | undefined): string {
    if (this.#started) return '';
    this.#started = true;
    const message = {
      ...messageHead(this.#stamp, model),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: messageUsage(undefined),
    };
    return namedEvent('message_start', { message }) + namedEvent('ping');
  }

  #say(key: 'thinking' | 'text', text: string): string {
    if (this.#open === key) return this.#delta(key, text);
    const start =
      key === 'thinking'
        ? { type: 'thinking', thinking: '', signature: '' }
        : { type: 'text', text: '', citations: null };
    return this.#begin({ key, start, text });
  }

  #tool({ ordinal, opened, arguments: text }: ToolCallNews): string {
    if (opened !== undefined) {
      const { id, name } = opened;
      return this.#begin({ key: ordinal, start: { type: 'tool_use', id, name, input: {} }, text });
    }
    if (this.#open === ordinal) return this.#delta(ordinal, text);
    const waiting = this.#waiting.find(({ key }) => key === ordinal);
    if (waiting !== undefined) waiting.text += text;
    return '';
  }

  #begin(block: Block): string {
    if (typeof this.#open !== 'number') {
      return this.#close() + this.#openBlock(block) + this.#delta(block.key, block.text);
    }
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.key === block.key) last.text += block.text;
    else this.#waiting.push(block);
    return '';
  }

  #openBlock({ key, start }: Block): string {
    this.#index++;
    this.#open = key;
    const at = { index: this.#index, content_block: start };
    return namedEvent('content_block_start', { ...at });
  }

  #delta(key: Block['key'], text: string): string {
    if (text === '') return '';
    const delta = typeof key === 'number' ? inputDelta(text) : textDelta(key, text);
    return namedEvent('content_block_delta', { index: this.#index, delta });
  }

  #close(): string {
    if (this.#open === undefined) return '';
    this.#open = undefined;
    return namedEvent('content_block_stop', { index: this.#index });
  }
}

function inputDelta(text: string): object {
  return { type: 'input_json_delta', partial_json: text };
}

function textDelta(key: 'thinking' | 'text', text: string): object {
  return key === 'thinking'
    ? { type: 'thinking_delta', thinking: text }
    : { type: 'text_delta', text };
}
