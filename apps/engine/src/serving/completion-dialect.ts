import { isUtf8 } from 'node:buffer';
import type { Completion, CompletionChoice, CompletionLogprobs, Usage } from '@sanctum/contracts';
import type { TokenReport, TokenText } from '@sanctum/generation';
import type { AnswerHead, Dialect, Piece } from './dialect.js';

/** Writes answers of `/v1/completions`. */
export class CompletionDialect implements Dialect {
  readonly #head: AnswerHead;
  /** Characters of the answer that the tokens so far completed. */
  #offset = 0;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  chunk(piece: Piece, usage: null | undefined): Completion {
    return this.#completion([this.#choice(piece)], usage);
  }

  usageChunk(usage: Usage): Completion {
    return this.#completion([], usage);
  }

  whole(piece: Piece, usage: Usage): Completion {
    return this.#completion([this.#choice(piece)], usage);
  }

  #choice({ text, logprobs, finish }: Piece): CompletionChoice {
    return {
      index: 0,
      text,
      logprobs: logprobs === undefined ? null : this.#logprobsOf(logprobs),
      finish_reason: finish,
    };
  }

  /** The older form: parallel arrays, alternatives as an object from token to log-probability. */
  #logprobsOf(reports: readonly TokenReport[]): CompletionLogprobs {
    return {
      tokens: reports.map(nameOf),
      token_logprobs: reports.map(({ logprob }) => logprob),
      top_logprobs: reports.map(({ top }) =>
        Object.fromEntries(top.map((entry) => [nameOf(entry), entry.logprob])),
      ),
      text_offset: reports.map(({ bytes }) => {
        const offset = this.#offset;
        this.#offset += this.#decoder.decode(Uint8Array.from(bytes), { stream: true }).length;
        return offset;
      }),
    };
  }

  #completion(choices: readonly CompletionChoice[], usage: Usage | null | undefined): Completion {
    const { id, created, model, fingerprint } = this.#head;
    return {
      id,
      object: 'text_completion',
      created,
      model,
      system_fingerprint: fingerprint,
      choices,
      ...(usage === undefined ? {} : { usage }),
    };
  }
}

/** A token's text; where that is a part of a character, its bytes as OpenAI writes them. */
function nameOf({ text, bytes }: TokenText): string {
  if (isUtf8(Uint8Array.from(bytes))) return text;
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}
