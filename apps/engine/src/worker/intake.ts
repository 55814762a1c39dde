import {
  opensReasoning,
  type GenerationRequest,
  type ChatTemplate,
  type Tokenizer,
} from '@sanctum/generation';
import type { SubmitMessage } from '../protocol.js';

export interface IntakeOptions {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Longer prompts are refused as soon as this many tokens are counted. */
  readonly contextTokensMax: number;
}

/** A prompt on its way to tokens. */
interface Preparing {
  readonly message: SubmitMessage;
  slices: Generator<void, Encoded> | undefined;
}

type Encoded = Pick<GenerationRequest, 'promptTokens' | 'opensReasoning'>;

/** What became of a prompt: a request, or why there is none. */
export type Prepared =
  | { readonly id: string; readonly request: GenerationRequest }
  | { readonly id: string; readonly error: unknown };

/**
 * Turns submitted prompts into tokens, a slice at a time and in turns, so that a long prompt holds
 * up neither the answers being computed nor the prompts behind it.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #preparing: Preparing[] = [];

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#preparing.length;
  }

  push(message: SubmitMessage): void {
    this.#preparing.push({ message, slices: undefined });
  }

  has(id: string): boolean {
    return this.#preparing.some(({ message }) => message.id === id);
  }

  cancel(id: string): boolean {
    const at = this.#preparing.findIndex(({ message }) => message.id === id);
    if (at === -1) return false;
    this.#preparing.splice(at, 1);
    return true;
  }

  /** One slice of work; what it finished, if it finished a prompt. */
  advance(): Prepared | undefined {
    const next = this.#preparing.shift();
    if (next === undefined) return undefined;
    const { message } = next;
    try {
      next.slices ??= this.#encode(message);
      const slice = next.slices.next();
      if (slice.done !== true) {
        this.#preparing.push(next);
        return undefined;
      }
      const { id, client, options } = message;
      return { id, request: { id, client, options, ...slice.value } };
    } catch (error) {
      return { id: message.id, error };
    }
  }

  *#encode({ prompt }: SubmitMessage): Generator<void, Encoded> {
    const { tokenizer, template, contextTokensMax } = this.#options;
    // One token of the context is the answer's.
    const tokensMax = contextTokensMax - 1;
    switch (prompt.kind) {
      case 'tokens':
        return { promptTokens: Int32Array.from(prompt.tokens) };
      case 'text':
        return { promptTokens: yield* tokenizer.encodeInSlices(prompt.text, { tokensMax }) };
      case 'chat': {
        const { messages, enableThinking } = prompt;
        const pieces = template(messages, { enableThinking });
        yield;
        const slices = tokenizer.encodeInSlices(pieces, { tokensMax, param: 'messages' });
        const opens = opensReasoning(pieces.at(-1) ?? '');
        return { promptTokens: yield* slices, ...(opens && { opensReasoning: true }) };
      }
    }
  }
}
