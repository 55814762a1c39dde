import type { RouterSection } from '@sanctum/catalog';

/** Everything that is bounded, with its unit. */
export interface RouterLimits {
  /** Of one request; beyond it 413. */
  readonly bodyBytesMax: number;
  /** Objects, arrays and members of a JSON body; beyond it 400. */
  readonly jsonElementsMax: number;
  /** Of all requests under way together; beyond it 429. */
  readonly bufferedBytesMax: number;
  /** Requests under way; beyond it 429 with Retry-After. */
  readonly inFlightMax: number;
  /** Client connections; further ones are not accepted. */
  readonly connectionsMax: number;
  /** Request line and headers; beyond it 431. */
  readonly headerBytesMax: number;
  /** Until the headers of a request are complete; beyond it 408. */
  readonly headersReadMs: number;
  /** Until a request is read completely; beyond it 408. */
  readonly requestReadMs: number;
  /** Connections to one upstream URL. */
  readonly upstreamConnectionsMax: number;
  /** Of a stream held back before its first content; beyond it the stream is let through. */
  readonly preambleBytesMax: number;
  /** Of a plain answer held back so that a death midway can fail over; beyond it it is streamed. */
  readonly heldAnswerBytesMax: number;
  /** Of a plain answer held back to be translated for a client of another dialect; beyond it 502. */
  readonly translatedAnswerBytesMax: number;
  /** Of an upstream's error body; a longer one is replaced by an envelope. */
  readonly errorBodyBytesMax: number;
  /** Of an unfinished event kept back while a stream flows; beyond it it is let through. */
  readonly eventBytesMax: number;
  /** From SIGTERM until requests under way are cut off. */
  readonly drainMs: number;
}

const MEBIBYTE = 1 << 20;

export const DEFAULT_LIMITS: RouterLimits = {
  bodyBytesMax: 16 * MEBIBYTE,
  jsonElementsMax: 500_000,
  bufferedBytesMax: 64 * MEBIBYTE,
  inFlightMax: 1_024,
  connectionsMax: 4_096,
  headerBytesMax: 16_384,
  headersReadMs: 10_000,
  requestReadMs: 60_000,
  upstreamConnectionsMax: 1_024,
  preambleBytesMax: 65_536,
  heldAnswerBytesMax: 65_536,
  translatedAnswerBytesMax: 16 * MEBIBYTE,
  errorBodyBytesMax: 65_536,
  eventBytesMax: 262_144,
  drainMs: 30_000,
};

/** The defaults with what `services.router.limits` sets. */
export function limitsFrom(section: RouterSection['limits']): RouterLimits {
  const requestReadMs = scaled(section.request_read_s, 1_000) ?? DEFAULT_LIMITS.requestReadMs;
  const bodyBytesMax = scaled(section.body_mb, MEBIBYTE) ?? DEFAULT_LIMITS.bodyBytesMax;
  return {
    ...DEFAULT_LIMITS,
    bodyBytesMax,
    bufferedBytesMax: Math.max(DEFAULT_LIMITS.bufferedBytesMax, bodyBytesMax),
    inFlightMax: section.requests ?? DEFAULT_LIMITS.inFlightMax,
    connectionsMax: section.connections ?? DEFAULT_LIMITS.connectionsMax,
    headerBytesMax: scaled(section.header_kb, 1_024) ?? DEFAULT_LIMITS.headerBytesMax,
    requestReadMs,
    headersReadMs: Math.min(DEFAULT_LIMITS.headersReadMs, requestReadMs),
    drainMs: scaled(section.drain_s, 1_000) ?? DEFAULT_LIMITS.drainMs,
  };
}

function scaled(value: number | undefined, unit: number): number | undefined {
  return value === undefined ? undefined : Math.round(value * unit);
}
