export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const OPEN_BRACKET = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

/**
 * Whether JSON text holds more than `max` objects, arrays and members together: what it costs to
 * parse, in time and memory, is in these and not in its bytes. Long strings are skipped natively.
 */
export function exceedsJsonElements(body: Uint8Array, max: number): boolean {
  let elements = 0;
  let at = 0;
  while (at < body.length) {
    const byte = body[at];
    if (byte === QUOTE) {
      at = stringEnd(body, at);
      continue;
    }
    at++;
    if (byte !== COMMA && byte !== OPEN_BRACE && byte !== OPEN_BRACKET) continue;
    elements++;
    if (elements > max) return true;
  }
  return false;
}

/** `start` is an opening quote; the result is just after the closing one. */
export function stringEnd(body: Uint8Array, start: number): number {
  let quote = body.indexOf(QUOTE, start + 1);
  while (quote > 0) {
    let backslashes = 0;
    while (body[quote - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    quote = body.indexOf(QUOTE, quote + 1);
  }
  return body.length;
}
