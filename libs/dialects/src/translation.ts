import type { Dialect } from '@sanctum/contracts';
import type { ErrorEnvelope } from '@sanctum/errors';

/** A body of `/v1/chat/completions`. */
export type ChatBody = Readonly<Record<string, unknown>>;

/** What a translated answer is called, and when it began. */
export interface AnswerStamp {
  /** Letters, digits and `_`; ids are made of a prefix and it. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdS: number;
  /** Shown where the upstream names no model. */
  readonly model: string;
}

/** A stream of chat chunks in, a stream of the client's dialect out. */
export interface AnswerStream {
  /** Data of one event. Throws `upstream_failed` when it is none of a chat stream, or too much. */
  push(data: string): string;
  /** What is still owed when the upstream's stream is over. */
  end(): string;
  /** Ends the stream with an error; nothing follows. */
  fail(error: ErrorEnvelope['error']): string;
}

/** One request of another dialect as a chat completion, and the way back. */
export interface Translation {
  readonly dialect: Exclude<Dialect, 'chat'>;
  readonly stream: boolean;
  readonly chat: ChatBody;
  /** A whole chat completion in the client's dialect. Throws `upstream_failed` when it is none. */
  answer(completion: unknown, stamp: AnswerStamp): object;
  openStream(stamp: AnswerStamp): AnswerStream;
}

export const DIALECT_LIMITS = {
  /** Text, reasoning and arguments of one answer, together. */
  answerCharacters: 8 << 20,
  toolCalls: 128,
  /** Of an event of a stream that is not complete yet. */
  eventBytes: 16 << 20,
} as const;

/** A server-sent event whose data names its type as well. */
export function namedEvent(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}
