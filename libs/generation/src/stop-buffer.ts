/** Text that is certain, and whether a stop sequence ended it. */
export interface StopResult {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Holds text back while its end may be the beginning of a stop sequence, so that a sequence is
 * found wherever flushes cut it. At most one character less than the longest sequence is held.
 */
export class StopBuffer {
  readonly #stop: readonly string[];
  #held = '';

  constructor(stop: readonly string[]) {
    this.#stop = stop;
  }

  /** Takes in text; once stopped, the sequence and what followed it are gone. */
  push(text: string): StopResult {
    const all = this.#held + text;
    const at = this.#firstMatch(all);
    if (at !== -1) {
      this.#held = '';
      return { text: all.slice(0, at), stopped: true };
    }
    const held = this.#heldLength(all);
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), stopped: false };
  }

  /** The text still held, at the end of an answer. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Start of the sequence that ends first, so that how text is cut into pushes changes nothing. */
  #firstMatch(text: string): number {
    let first = { start: -1, end: Number.POSITIVE_INFINITY };
    for (const sequence of this.#stop) {
      const start = text.indexOf(sequence);
      const end = start + sequence.length;
      if (start === -1 || end > first.end || (end === first.end && start > first.start)) continue;
      first = { start, end };
    }
    return first.start;
  }

  #heldLength(text: string): number {
    let held = 0;
    for (const sequence of this.#stop) {
      for (let length = Math.min(sequence.length - 1, text.length); length > held; length -= 1) {
        if (text.endsWith(sequence.slice(0, length))) held = length;
      }
    }
    return held;
  }
}
