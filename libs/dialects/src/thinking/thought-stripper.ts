const OPEN = '<think>';
const CLOSE = '</think>';
const BLANK = ' \t\r\n';

/**
 * Takes the thoughts out of a text that comes in pieces, however it was cut: `<think>…</think>` and
 * the blank space behind it. What follows an open tag that is never closed is a thought up to the
 * end. A closing tag without an opening one goes as well: some templates open the thought in the
 * prompt. Only what may be the beginning of a tag is kept back.
 */
export class ThoughtStripper {
  #state: 'text' | 'thought' | 'blank' = 'text';
  #held = '';

  /** Nothing is kept back, and the next character is text. */
  get isIdle(): boolean {
    return this.#state === 'text' && this.#held === '';
  }

  /** What of the text so far may be shown now. */
  push(piece: string): string {
    const text = this.#held + piece;
    this.#held = '';
    let out = '';
    let at = 0;
    while (at < text.length) {
      switch (this.#state) {
        case 'text': {
          const { shown, next } = this.#text(text, at);
          out += shown;
          at = next;
          break;
        }
        case 'thought':
          at = this.#thought(text, at);
          break;
        case 'blank':
          at = this.#blank(text, at);
          break;
      }
    }
    return out;
  }

  /** What was kept back and turns out to be text, when nothing more comes. */
  end(): string {
    const rest = this.#state === 'text' ? this.#held : '';
    this.#held = '';
    return rest;
  }

  /** Text up to a tag and what follows it, or to the end. */
  #text(text: string, at: number): { shown: string; next: number } {
    const tag = text.indexOf('<', at);
    if (tag < 0) return { shown: text.slice(at), next: text.length };
    const shown = text.slice(at, tag);
    if (text.startsWith(OPEN, tag)) {
      this.#state = 'thought';
      return { shown, next: tag + OPEN.length };
    }
    if (text.startsWith(CLOSE, tag)) {
      this.#state = 'blank';
      return { shown, next: tag + CLOSE.length };
    }
    const rest = text.slice(tag, tag + CLOSE.length);
    if (OPEN.startsWith(rest) || CLOSE.startsWith(rest)) {
      this.#held = rest;
      return { shown, next: text.length };
    }
    return { shown: `${shown}<`, next: tag + 1 };
  }

  #thought(text: string, at: number): number {
    const close = text.indexOf(CLOSE, at);
    if (close >= 0) {
      this.#state = 'blank';
      return close + CLOSE.length;
    }
    const tag = text.lastIndexOf('<');
    const rest = tag < at ? '' : text.slice(tag);
    if (CLOSE.startsWith(rest)) this.#held = rest;
    return text.length;
  }

  #blank(text: string, start: number): number {
    let at = start;
    while (at < text.length && BLANK.includes(text.charAt(at))) at++;
    if (at < text.length) this.#state = 'text';
    return at;
  }
}
