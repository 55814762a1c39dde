import { brotliDecompressSync, gunzipSync, inflateSync, type ZlibOptions } from 'node:zlib';
import { withCallsApart } from '@sanctum/dialects';
import { SanctumError } from '@sanctum/errors';

/**
 * Parses a whole answer, decoding it first where the upstream encoded it. Throws `upstream_failed`
 * for an unknown encoding, for more than `bytesMax`, and for what is not JSON.
 */
export function readJsonAnswer(
  body: Buffer,
  { encoding, bytesMax }: { encoding: string | undefined; bytesMax: number },
): unknown {
  try {
    const plain = decode(body, encoding, { maxOutputLength: bytesMax });
    return JSON.parse(plain.toString('utf8')) as unknown;
  } catch (error) {
    throw new SanctumError('upstream_failed', "The upstream's answer is not readable JSON.", {
      cause: error,
    });
  }
}

function decode(body: Buffer, encoding: string | undefined, options: ZlibOptions): Buffer {
  switch (encoding?.toLowerCase()) {
    case undefined:
    case 'identity':
      return body;
    case 'gzip':
    case 'x-gzip':
      return gunzipSync(body, options);
    case 'deflate':
      return inflateSync(body, options);
    case 'br':
      return brotliDecompressSync(body, options);
    default:
      throw new Error(`content-encoding ${String(encoding)} is not known`);
  }
}

/** A completion as the events of a stream, for an upstream that was asked for one and sent none. */
export function completionAsChunks(completion: unknown): string[] {
  const { choices, ...rest } = (completion ?? {}) as Record<string, unknown>;
  if (!Array.isArray(choices)) return [JSON.stringify(completion ?? null)];
  const streamed = choices.map((choice: unknown) => {
    const { message, ...others } = (choice ?? {}) as Record<string, unknown>;
    return { ...others, delta: withCallsApart(message) };
  });
  return [JSON.stringify({ ...rest, choices: streamed }), '[DONE]'];
}
