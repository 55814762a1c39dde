import { SanctumError } from '@sanctum/errors';
import type { ToolCallPiece } from './chat-answer.js';
import { isJson } from './is-json.js';
import { DIALECT_LIMITS } from './translation.js';

/** News of one tool call; `ordinal` is its place among the calls of the answer. */
export interface ToolCallNews {
  readonly ordinal: number;
  /** Set once, with the first news of a call. */
  readonly opened: { readonly id: string; readonly name: string } | undefined;
  readonly arguments: string;
}

interface Call {
  readonly ordinal: number;
  readonly index: number | undefined;
  id: string | undefined;
  /** Set when it is open. */
  name: string | undefined;
  /** All that came, before the name too. */
  arguments: string;
}

/**
 * Makes one account of tool calls out of what servers send: the id and the name in the first piece
 * or in all of them, no index, the same index for several calls, no id at all, one id for all.
 */
export class ToolCallBook {
  readonly #calls: Call[] = [];
  readonly #mintId: (ordinal: number) => string;

  constructor(mintId: (ordinal: number) => string) {
    this.#mintId = mintId;
  }

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  push(piece: ToolCallPiece): ToolCallNews | undefined {
    const call = this.#find(piece) ?? this.#add(piece);
    call.id ??= piece.id;
    call.arguments += piece.arguments;
    if (call.name !== undefined) {
      if (piece.arguments === '') return undefined;
      return { ordinal: call.ordinal, opened: undefined, arguments: piece.arguments };
    }
    if (piece.name === undefined) return undefined;
    call.name = piece.name;
    const opened = { id: this.#idOf(call), name: piece.name };
    return { ordinal: call.ordinal, opened, arguments: call.arguments };
  }

  #find(piece: ToolCallPiece): Call | undefined {
    if (piece.id !== undefined) {
      const known = this.#calls.find((call) => call.id === piece.id && agree(call, piece));
      if (known !== undefined) return known;
    }
    const last = this.#calls.at(-1);
    const sameIndex =
      piece.index === undefined ? last : this.#calls.findLast(({ index }) => index === piece.index);
    const isWhole = piece.index === undefined && piece.name !== undefined;
    return isWhole || isAnother(piece, sameIndex) ? undefined : sameIndex;
  }

  /** Results name the call they are for: no two calls go by one id. */
  #idOf({ id, ordinal }: Call): string {
    const isTaken = this.#calls.some((call) => call.ordinal < ordinal && call.id === id);
    return id === undefined || isTaken ? this.#mintId(ordinal) : id;
  }

  #add({ index, id }: ToolCallPiece): Call {
    const ordinal = this.#calls.length;
    if (ordinal >= DIALECT_LIMITS.toolCalls) {
      throw new SanctumError(
        'upstream_failed',
        `The upstream's answer has more than ${DIALECT_LIMITS.toolCalls} tool calls.`,
      );
    }
    const call: Call = { ordinal, index, id, name: undefined, arguments: '' };
    this.#calls.push(call);
    return call;
  }
}

/** Some servers give all calls of an answer one id: two indexes are two calls. */
function agree(call: Call, { index }: ToolCallPiece): boolean {
  return index === undefined || call.index === undefined || call.index === index;
}

/** Without an id, a name begins another call where the last one is complete; some repeat theirs. */
function isAnother(piece: ToolCallPiece, call: Call | undefined): boolean {
  if (piece.name === undefined || call?.name === undefined) return false;
  if (piece.id !== undefined) return true;
  const begins = piece.arguments === '' ? piece.name !== call.name : /^\s*\{/.test(piece.arguments);
  return begins && isJson(call.arguments);
}
