import { SanctumError } from '@sanctum/errors';

const EVENT_CHARACTERS_MAX = 1_048_576;
const DONE = '[DONE]';

/** The `data` of each server-sent event of a body, up to `[DONE]`. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const data = /^data: ?(.*)$/.exec(line)?.[1];
      if (data === DONE) {
        return;
      }
      if (data !== undefined) {
        yield data;
      }
    }
    if (rest.length > EVENT_CHARACTERS_MAX) {
      throw new SanctumError(
        'upstream_failed',
        'The router sent an event beyond one million characters.',
      );
    }
  }
}
