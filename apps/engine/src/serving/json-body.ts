import { messageOf, SanctumError } from '@sanctum/errors';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The value of a JSON body. Throws `invalid_request` for bytes that are no UTF-8, or no JSON. */
export function parseJsonBody(body: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch (error) {
    throw new SanctumError('invalid_request', 'The body is not valid UTF-8.', { cause: error });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    // The parser quotes what it stumbled over: a place, never text of the prompt, goes out.
    const place = /at position \d+/.exec(messageOf(error))?.[0] ?? 'at its end';
    throw new SanctumError('invalid_request', `The body is not valid JSON (${place}).`);
  }
}
