import type { ChatMessage } from '@sanctum/contracts';
import { streamChat, type ChatOptions } from './chat-client.js';

/** Exchanges that are sent along; older ones are forgotten. */
export const EXCHANGES_MAX = 20;

/** What was said so far. A question that got no whole answer leaves no trace. */
export class Conversation {
  readonly #options: ChatOptions;
  readonly #system: readonly ChatMessage[];
  #history: readonly ChatMessage[] = [];

  constructor(options: ChatOptions, system?: string) {
    this.#options = options;
    this.#system = system === undefined ? [] : [{ role: 'system', content: system }];
  }

  async ask(
    question: string,
    onText: (piece: string) => void,
    signal?: AbortSignal,
  ): Promise<string> {
    const asked: ChatMessage = { role: 'user', content: question };
    const messages = [...this.#system, ...this.#history, asked];
    const { text } = await streamChat(messages, { ...this.#options, signal }, onText);
    const answered: ChatMessage = { role: 'assistant', content: text };
    this.#history = [...this.#history, asked, answered].slice(-2 * EXCHANGES_MAX);
    return text;
  }
}
