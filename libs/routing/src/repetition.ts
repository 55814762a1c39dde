/** Longest unit whose repetition is noticed, in characters. */
export const REPETITION_PERIOD_MAX = 64;

/**
 * Notices a text that is one short unit over and over from its first character. Keeps the last
 * `REPETITION_PERIOD_MAX` characters and one flag per period that is still possible: for ordinary
 * text none is after a few dozen characters, and looking ends.
 */
export class RepetitionWatch {
  #recent = '';
  #length = 0;
  /** Periods the text so far has; empty once it cannot be a repetition. */
  #periods: number[] = Array.from({ length: REPETITION_PERIOD_MAX }, (_, index) => index + 1);

  push(text: string): void {
    for (let at = 0; at < text.length && this.#periods.length > 0; at++) this.#step(text, at);
    this.#recent = (this.#recent + text).slice(-REPETITION_PERIOD_MAX);
    this.#length += text.length;
  }

  /** The whole text is a unit, repeated at least `timesMin` times, at least `charsMin` long. */
  isRepetition({ charsMin, timesMin }: { charsMin: number; timesMin: number }): boolean {
    const [period] = this.#periods;
    if (period === undefined || this.#length < charsMin) return false;
    return this.#length >= period * timesMin;
  }

  #step(text: string, at: number): void {
    const position = this.#length + at;
    const character = text[at];
    this.#periods = this.#periods.filter(
      (period) => period > position || this.#before(text, at, period) === character,
    );
  }

  #before(text: string, at: number, period: number): string | undefined {
    return at >= period ? text[at - period] : this.#recent.at(at - period);
  }
}
