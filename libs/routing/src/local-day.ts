/** A calendar day of a time zone. */
export interface LocalDay {
  /** `2026-11-21`; days compare as strings. */
  readonly key: string;
  /** The instant it was computed for: what lies before it has to be computed again. */
  readonly fromMs: number;
  /** The first instant of the next day: the zone's midnight, whatever the clocks did in between. */
  readonly endMs: number;
}

const HOUR_MS = 3_600_000;
/** No zone's day is longer than 25 hours, but for those that crossed the date line. */
const SEARCH_MS = 26 * HOUR_MS;

/** Days of one IANA time zone, cached: `at` costs two comparisons until the day ends. */
export class LocalCalendar {
  readonly #format: Intl.DateTimeFormat;
  #day: LocalDay | undefined;

  /** Throws `RangeError` for a zone that the platform does not know. */
  constructor(readonly timeZone: string) {
    const numeric = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      ...numeric,
    });
  }

  at(nowMs: number): LocalDay {
    const day = this.#day;
    if (day !== undefined && nowMs >= day.fromMs && nowMs < day.endMs) return day;
    const key = this.keyOf(nowMs);
    this.#day = { key, fromMs: nowMs, endMs: this.#endOf(key, nowMs) };
    return this.#day;
  }

  keyOf(atMs: number): string {
    const parts = this.#format.formatToParts(atMs);
    const read = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
    return `${read('year').padStart(4, '0')}-${read('month')}-${read('day')}`;
  }

  #endOf(key: string, fromMs: number): number {
    let before = fromMs;
    let after = fromMs + SEARCH_MS;
    while (this.keyOf(after) === key) after += SEARCH_MS;
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.keyOf(middle) === key) before = middle;
      else after = middle;
    }
    return after;
  }
}
