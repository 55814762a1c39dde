/** The value of a header in a flat list of names and values. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index]?.toLowerCase() === name) return headers[index + 1];
  }
  return undefined;
}

/** What described the upstream's bytes does not describe others. */
export function withoutContentHeaders(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? '';
    if (!/^(content-.*|etag|digest)$/i.test(name)) kept.push(name, headers[index + 1] ?? '');
  }
  return kept;
}
