import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import { SanctumError } from '@sanctum/errors';

/**
 * Lines of a stream, without destroying it when the reader stops early.
 *
 * @throws SanctumError `body_too_large` when a line exceeds `lineBytesMax`
 */
export async function* readLines(stream: Readable, lineBytesMax: number): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    rest += decoder.write(chunk as Buffer);
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > lineBytesMax) {
      throw new SanctumError('body_too_large', `A line exceeds ${lineBytesMax} bytes.`);
    }
  }
}
