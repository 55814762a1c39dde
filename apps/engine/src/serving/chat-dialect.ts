import type {
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChoiceLogprobs,
  TopLogprob,
  Usage,
} from '@sanctum/contracts';
import type { TokenReport, TokenText } from '@sanctum/generation';
import type { AnswerHead, Dialect, Piece } from './dialect.js';

/** Writes answers of `/v1/chat/completions`. */
export class ChatDialect implements Dialect {
  readonly #head: AnswerHead;
  #opened = false;

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  chunk(piece: Piece, usage: null | undefined): ChatCompletionChunk {
    const role = this.#opened ? {} : { role: 'assistant' as const };
    this.#opened = true;
    const isSilent = piece.text === '' && (piece.finish !== null || piece.reasoning !== '');
    const content = isSilent ? {} : { content: piece.text };
    const choice: ChatChunkChoice = {
      index: 0,
      delta: { ...role, ...reasoningOf(piece), ...content },
      logprobs: logprobsOf(piece.logprobs),
      finish_reason: piece.finish,
    };
    return this.#event([choice], usage);
  }

  usageChunk(usage: Usage): ChatCompletionChunk {
    return this.#event([], usage);
  }

  whole(piece: Piece, usage: Usage): ChatCompletion {
    const { id, created, model, fingerprint } = this.#head;
    return {
      id,
      object: 'chat.completion',
      created,
      model,
      choices: [
        {
          index: 0,
          message: {
            ...{ role: 'assistant', content: piece.text, refusal: null },
            ...reasoningOf(piece),
          },
          logprobs: logprobsOf(piece.logprobs),
          finish_reason: piece.finish ?? 'stop',
        },
      ],
      usage,
      system_fingerprint: fingerprint,
    };
  }

  #event(
    choices: readonly ChatChunkChoice[],
    usage: Usage | null | undefined,
  ): ChatCompletionChunk {
    const { id, created, model, fingerprint } = this.#head;
    return {
      id,
      object: 'chat.completion.chunk',
      created,
      model,
      system_fingerprint: fingerprint,
      choices,
      ...(usage === undefined ? {} : { usage }),
    };
  }
}

function reasoningOf({ reasoning }: Piece): { reasoning_content?: string } {
  return reasoning === '' ? {} : { reasoning_content: reasoning };
}

function logprobsOf(reports: readonly TokenReport[] | undefined): ChoiceLogprobs | null {
  if (reports === undefined) return null;
  const content = reports.map((report) => ({
    ...tokenOf(report),
    top_logprobs: report.top.map(tokenOf),
  }));
  return { content, refusal: null };
}

function tokenOf({ text, logprob, bytes }: TokenText): TopLogprob {
  return { token: text, logprob, bytes };
}
