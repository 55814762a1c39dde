import { SanctumError, toEnvelope, type ErrorEnvelope } from '@sanctum/errors';
import { readChatChunk, type ChatPiece, type ChatUsage } from './chat-answer.js';
import { DIALECT_LIMITS, type AnswerStream } from './translation.js';

/** How a chat stream ended. */
export interface StreamEnd extends Pick<ChatPiece, 'finish' | 'matchedStop' | 'refusal' | 'usage'> {
  /** Pieces that carried something: about as many tokens, where the upstream did not count them. */
  readonly deltas: number;
}

/** What makes events out of the pieces of a chat stream. */
export interface PieceSink {
  onPiece(piece: ChatPiece): string;
  onEnd(end: StreamEnd): string;
  onFailure(error: ErrorEnvelope['error']): string;
}

const DONE = '[DONE]';

/** Reads the events of one chat stream up to its end, which is told once; a sink makes others of them. */
export class ChatStreamReader implements AnswerStream {
  readonly #sink: PieceSink;
  #isOver = false;
  #characters = 0;
  #deltas = 0;
  #finish: ChatPiece['finish'];
  #matchedStop: string | undefined;
  #refusal = '';
  #usage: ChatUsage | undefined;

  constructor(sink: PieceSink) {
    this.#sink = sink;
  }

  /** Data of one event; what follows the end is not looked at. */
  push(data: string): string {
    if (this.#isOver) return '';
    if (data === DONE) return this.#end();
    const value = parseEvent(data);
    const error = errorOf(value);
    if (error !== undefined) return this.fail(error);
    const piece = readChatChunk(value);
    this.#count(piece);
    this.#finish ??= piece.finish;
    this.#matchedStop ??= piece.matchedStop;
    this.#refusal += piece.refusal;
    this.#usage = piece.usage ?? this.#usage;
    return this.#sink.onPiece(piece);
  }

  /** A stream that breaks off without `[DONE]` and without a finish reason is no whole answer. */
  end(): string {
    if (this.#isOver) return '';
    if (this.#finish !== undefined) return this.#end();
    const error = new SanctumError('upstream_failed', "The upstream's stream ended unfinished.");
    return this.fail(toEnvelope(error, 'router').body.error);
  }

  fail(error: ErrorEnvelope['error']): string {
    if (this.#isOver) return '';
    this.#isOver = true;
    return this.#sink.onFailure(error);
  }

  #count({ content, reasoning, refusal, toolCalls }: ChatPiece): void {
    const characters = content.length + reasoning.length + refusal.length;
    if (characters > 0 || toolCalls.length > 0) this.#deltas++;
    this.#characters += characters;
    for (const call of toolCalls) this.#characters += call.arguments.length;
    if (this.#characters <= DIALECT_LIMITS.answerCharacters) return;
    throw new SanctumError(
      'upstream_failed',
      `The upstream's answer exceeds ${DIALECT_LIMITS.answerCharacters} characters.`,
    );
  }

  #end(): string {
    this.#isOver = true;
    return this.#sink.onEnd({
      finish: this.#finish,
      matchedStop: this.#matchedStop,
      refusal: this.#refusal,
      usage: this.#usage,
      deltas: this.#deltas,
    });
  }
}

function parseEvent(data: string): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch (error) {
    throw new SanctumError('upstream_failed', 'An event of the upstream is not JSON.', {
      cause: error,
    });
  }
}

/** An error within a stream, whatever it consists of. */
function errorOf(value: unknown): ErrorEnvelope['error'] | undefined {
  const error = (value as { error?: unknown } | null)?.error;
  if (error === undefined || error === null) return undefined;
  const { message, type, code, param, source } = error as Record<string, unknown>;
  return {
    message: textOf(typeof error === 'string' ? error : message) ?? 'The upstream failed.',
    type: textOf(type) ?? 'api_error',
    code: typeof code === 'number' ? String(code) : (textOf(code) ?? 'upstream_failed'),
    param: textOf(param) ?? null,
    source: textOf(source) ?? 'upstream',
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
