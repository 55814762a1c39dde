/** Longest unit whose repetition is noticed, in characters. */
export const REPETITION_PERIOD_MAX = 64;

/**
 * Notices a text that is one short unit over and over from its first character. Nothing is looked at
 * before `charsMin` characters are there; from then on it costs one comparison per character, until
 * the first that breaks the rule.
 */
export class RepetitionWatch {
  readonly #charsMin: number;
  /** The text so far while it is shorter than `charsMin`, then its last characters. */
  #recent = '';
  #length = 0;
  /**
   * The shortest period of the text, 0 when it has none, undefined while it is short. Of a text at
   * least twice as long as the longest period, all others are multiples of the shortest (Fine and
   * Wilf) and end with it.
   */
  #period: number | undefined;

  constructor(charsMin: number) {
    this.#charsMin = Math.max(charsMin, 2 * REPETITION_PERIOD_MAX);
  }

  push(text: string): void {
    this.#length += text.length;
    if (this.#period === 0) return;
    const joined = this.#recent + text;
    if (this.#period !== undefined) {
      this.#period = continues(joined, text.length, this.#period) ? this.#period : 0;
    } else if (joined.length >= this.#charsMin) {
      this.#period = shortestPeriod(joined);
    }
    this.#recent = this.#period === undefined ? joined : joined.slice(-REPETITION_PERIOD_MAX);
  }

  /** The whole text is a unit, repeated at least `timesMin` times. */
  isRepetition(timesMin: number): boolean {
    const period = this.#period ?? 0;
    return period > 0 && this.#length >= period * timesMin;
  }
}

/** Whether the last `added` characters go on as they stand `period` before. */
function continues(text: string, added: number, period: number): boolean {
  const from = text.length - added;
  for (let at = from; at < text.length; at++) {
    if (text[at] !== text[at - period]) return false;
  }
  return true;
}

function shortestPeriod(text: string): number {
  for (let period = 1; period <= REPETITION_PERIOD_MAX; period++) {
    if (continues(text, text.length - period, period)) return period;
  }
  return 0;
}
