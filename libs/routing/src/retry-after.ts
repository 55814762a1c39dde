export interface CoolDownSettings {
  /** When a 429 names no time, or one that cannot be read. */
  readonly defaultMs: number;
  /** A longer wait is cut to this. */
  readonly maxMs: number;
}

export const DEFAULT_COOL_DOWN: CoolDownSettings = { defaultMs: 5_000, maxMs: 300_000 };

/** A shorter wait is no wait. */
export const COOL_DOWN_MS_MIN = 1_000;

const SECONDS = /^\d{1,10}(\.\d{1,3})?$/;
/** RFC 9110 §5.6.7: IMF-fixdate, RFC 850 and asctime all begin with a day's name. */
const HTTP_DATE = /^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i;

/**
 * Milliseconds to leave a target alone after a 429 with this `Retry-After` (RFC 9110 §10.2.3:
 * seconds or an HTTP date), between `COOL_DOWN_MS_MIN` and `maxMs`.
 */
export function coolDownMs(
  retryAfter: string | undefined,
  settings: CoolDownSettings,
  nowMs: number,
): number {
  const wantedMs = parseRetryAfter(retryAfter?.trim() ?? '', nowMs) ?? settings.defaultMs;
  return Math.min(settings.maxMs, Math.max(COOL_DOWN_MS_MIN, wantedMs));
}

function parseRetryAfter(value: string, nowMs: number): number | undefined {
  if (SECONDS.test(value)) return Number(value) * 1_000;
  if (!HTTP_DATE.test(value)) return undefined;
  // An asctime date names no zone and means GMT.
  const atMs = Date.parse(/gmt|utc/i.test(value) ? value : `${value} GMT`);
  return Number.isNaN(atMs) ? undefined : atMs - nowMs;
}
