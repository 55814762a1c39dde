/** `ENOENT`, `EADDRINUSE`, …: the system's code of a failed call. By shape, not by class. */
export function errnoOf(error: unknown): string | undefined {
  return typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'string'
    ? error.code
    : undefined;
}
