/** Text of an answer, parted into what the model thought and what it says. */
export interface SplitText {
  readonly reasoning: string;
  readonly content: string;
}

const CLOSE = '</think>';
/** The line break before the tag belongs to it, as those after it do. */
const CLOSE_ON_ITS_LINE = `\n${CLOSE}`;
const OPENED = /<think>\s*$/;

/** Whether an answer to this prompt begins inside the model's thoughts. */
export function opensReasoning(prompt: string): boolean {
  return OPENED.test(prompt);
}

/**
 * Parts an answer that begins inside its thoughts at the first `</think>`, wherever flushes cut the
 * tag. An answer that ends before it is reasoning alone.
 */
export class ReasoningSplit {
  #state: 'reasoning' | 'gap' | 'content' = 'reasoning';
  #held = '';

  push(text: string): SplitText {
    if (this.#state !== 'reasoning') return { reasoning: '', content: this.#content(text) };
    const all = this.#held + text;
    const at = all.indexOf(CLOSE);
    if (at === -1) {
      const certain = all.length - heldLength(all);
      this.#held = all.slice(certain);
      return { reasoning: all.slice(0, certain), content: '' };
    }
    this.#held = '';
    this.#state = 'gap';
    const reasoning = all.slice(0, all[at - 1] === '\n' ? at - 1 : at);
    return { reasoning, content: this.#content(all.slice(at + CLOSE.length)) };
  }

  /** The reasoning that is still held when the answer ends. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  #content(text: string): string {
    if (this.#state === 'content') return text;
    const content = text.replace(/^\n+/, '');
    if (content !== '') this.#state = 'content';
    return content;
  }
}

/** Characters at the end that may be the beginning of the tag. */
function heldLength(text: string): number {
  for (let length = CLOSE_ON_ITS_LINE.length - 1; length > 0; length -= 1) {
    const end = text.slice(-length);
    if (CLOSE_ON_ITS_LINE.startsWith(end) || CLOSE.startsWith(end))
      return Math.min(length, text.length);
  }
  return 0;
}
