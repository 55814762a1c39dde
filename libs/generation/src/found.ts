const FOUND_CHARS_MAX = 64;

/** A value as an error message shows it: what it is, and no more than 64 characters of it. */
export function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  const text = JSON.stringify(typeof value === 'string' ? value.slice(0, FOUND_CHARS_MAX) : value);
  return typeof value === 'string' && value.length > FOUND_CHARS_MAX ? `${text}…` : text;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
