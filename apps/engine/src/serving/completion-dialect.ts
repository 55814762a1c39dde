import type { Completion, CompletionChoice, CompletionLogprobs, Usage } from '@sanctum/contracts';
import type { TokenReport } from '@sanctum/generation';
import type { AnswerHead, Dialect, Piece } from './dialect.js';

/** Writes answers of `/v1/completions`. */
export class CompletionDialect implements Dialect {
  readonly #head: AnswerHead;
  /** Characters of the answer before the next token. */
  #offset = 0;

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

  /** The older form: parallel arrays, alternatives as an object from text to log-probability. */
  #logprobsOf(reports: readonly TokenReport[]): CompletionLogprobs {
    return {
      tokens: reports.map(({ text }) => text),
      token_logprobs: reports.map(({ logprob }) => logprob),
      top_logprobs: reports.map(({ top }) =>
        Object.fromEntries(top.map(({ text, logprob }) => [text, logprob])),
      ),
      text_offset: reports.map(({ text }) => {
        const offset = this.#offset;
        this.#offset += text.length;
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
